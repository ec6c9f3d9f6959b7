"""Names of the archives' sets, their old spellings, and named collections of them."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UCR128 = _words("""
    ACSF1 Adiac AllGestureWiimoteX AllGestureWiimoteY AllGestureWiimoteZ ArrowHead Beef BeetleFly
    BirdChicken BME Car CBF Chinatown ChlorineConcentration CinCECGTorso Coffee Computers CricketX
    CricketY CricketZ Crop DiatomSizeReduction DistalPhalanxOutlineAgeGroup DistalPhalanxOutlineCorrect
    DistalPhalanxTW DodgerLoopDay DodgerLoopGame DodgerLoopWeekend Earthquakes ECG200 ECG5000
    ECGFiveDays ElectricDevices EOGHorizontalSignal EOGVerticalSignal EthanolLevel FaceAll FaceFour
    FacesUCR FiftyWords Fish FordA FordB FreezerRegularTrain FreezerSmallTrain Fungi GestureMidAirD1
    GestureMidAirD2 GestureMidAirD3 GesturePebbleZ1 GesturePebbleZ2 GunPoint GunPointAgeSpan
    GunPointMaleVersusFemale GunPointOldVersusYoung Ham HandOutlines Haptics Herring HouseTwenty
    InlineSkate InsectEPGRegularTrain InsectEPGSmallTrain InsectWingbeatSound ItalyPowerDemand
    LargeKitchenAppliances Lightning2 Lightning7 Mallat Meat MedicalImages MelbournePedestrian
    MiddlePhalanxOutlineAgeGroup MiddlePhalanxOutlineCorrect MiddlePhalanxTW MixedShapesRegularTrain
    MixedShapesSmallTrain MoteStrain NonInvasiveFetalECGThorax1 NonInvasiveFetalECGThorax2 OliveOil
    OSULeaf PhalangesOutlinesCorrect Phoneme PickupGestureWiimoteZ PigAirwayPressure PigArtPressure
    PigCVP PLAID Plane PowerCons ProximalPhalanxOutlineAgeGroup ProximalPhalanxOutlineCorrect
    ProximalPhalanxTW RefrigerationDevices Rock ScreenType SemgHandGenderCh2 SemgHandMovementCh2
    SemgHandSubjectCh2 ShakeGestureWiimoteZ ShapeletSim ShapesAll SmallKitchenAppliances SmoothSubspace
    SonyAIBORobotSurface1 SonyAIBORobotSurface2 StarLightCurves Strawberry SwedishLeaf Symbols
    SyntheticControl ToeSegmentation1 ToeSegmentation2 Trace TwoLeadECG TwoPatterns UMD
    UWaveGestureLibraryAll UWaveGestureLibraryX UWaveGestureLibraryY UWaveGestureLibraryZ Wafer Wine
    WordSynonyms Worms WormsTwoClass Yoga
    """)
"""The univariate archive of 2018 (Dau et al., arXiv 1810.07758)."""

UEA30 = _words("""
    ArticularyWordRecognition AtrialFibrillation BasicMotions CharacterTrajectories Cricket
    DuckDuckGeese EigenWorms Epilepsy ERing EthanolConcentration FaceDetection FingerMovements
    HandMovementDirection Handwriting Heartbeat InsectWingbeat JapaneseVowels Libras LSST MotorImagery
    NATOPS PEMS-SF PenDigits PhonemeSpectra RacketSports SelfRegulationSCP1 SelfRegulationSCP2
    SpokenArabicDigits StandWalkJump UWaveGestureLibrary
    """)
"""The multivariate archive of 2018 (Bagnall et al., arXiv 1811.00075)."""

PAPER = _words("""
    Computers Strawberry BeetleFly CBF Adiac Lightning2 ItalyPowerDemand Trace ShapesAll Beef Herring
    MiddlePhalanxOutlineCorrect SwedishLeaf FaceAll ECG200 ECGFiveDays OliveOil MoteStrain
    SonyAIBORobotSurface1 SonyAIBORobotSurface2 Ham Wafer Yoga FordA Phoneme Mallat StarLightCurves
    UWaveGestureLibraryAll NonInvasiveFetalECGThorax1 NonInvasiveFetalECGThorax2
    """)
"""The 30 sets that the script of the TSD reference lists, in its order, by their names of 2018."""

UNEQUAL = frozenset(
    _words("""
    AllGestureWiimoteX AllGestureWiimoteY AllGestureWiimoteZ GestureMidAirD1 GestureMidAirD2
    GestureMidAirD3 GesturePebbleZ1 GesturePebbleZ2 PickupGestureWiimoteZ PLAID ShakeGestureWiimoteZ
    CharacterTrajectories InsectWingbeat JapaneseVowels SpokenArabicDigits
    """)
)
"""Sets whose series differ in length."""

WITH_GAPS = frozenset(_words("DodgerLoopDay DodgerLoopGame DodgerLoopWeekend MelbournePedestrian"))
"""Sets of one length with missing values: a NaN at the end of a row is a gap there, not the series' end."""

UCR112 = tuple(name for name in UCR128 if name not in UNEQUAL | WITH_GAPS and name != "Fungi")
"""Univariate sets of equal length without gaps and with more than one training series a class."""

UEA26 = tuple(name for name in UEA30 if name not in UNEQUAL)
"""Multivariate sets of equal length."""

BUNDLED = _words(
    "ACSF1 ArrowHead BasicMotions GunPoint ItalyPowerDemand JapaneseVowels OSULeaf PLAID UnitTest"
)
"""Classification sets in sktime's wheel."""

COLLECTIONS = {
    "paper": PAPER,
    "ucr128": UCR128,
    "ucr112": UCR112,
    "uea30": UEA30,
    "uea26": UEA26,
    "bundled": BUNDLED,
}
"""Collections that do not depend on the machine; ``local`` is what lies under the data root."""

OLD_NAMES = {
    "50words": "FiftyWords",
    "CinC_ECG_torso": "CinCECGTorso",
    "Cricket_X": "CricketX",
    "Cricket_Y": "CricketY",
    "Cricket_Z": "CricketZ",
    "FISH": "Fish",
    "Gun_Point": "GunPoint",
    "Lighting2": "Lightning2",
    "Lighting7": "Lightning7",
    "MALLAT": "Mallat",
    "NonInvasiveFatalECG_Thorax1": "NonInvasiveFetalECGThorax1",
    "NonInvasiveFatalECG_Thorax2": "NonInvasiveFetalECGThorax2",
    "SonyAIBORobotSurface": "SonyAIBORobotSurface1",
    "SonyAIBORobotSurfaceII": "SonyAIBORobotSurface2",
    "Two_Patterns": "TwoPatterns",
    "WordsSynonyms": "WordSynonyms",
    "synthetic_control": "SyntheticControl",
    "uWaveGestureLibrary_X": "UWaveGestureLibraryX",
    "uWaveGestureLibrary_Y": "UWaveGestureLibraryY",
    "uWaveGestureLibrary_Z": "UWaveGestureLibraryZ",
    "wafer": "Wafer",
    "yoga": "Yoga",
}
"""Names of the archive of 2015 that the one of 2018 spells otherwise."""


def modern_name(name: str) -> tuple[str, tuple[str, ...]]:
    """The archive's present name of a set, and a note if that is another than the one given."""
    if name in OLD_NAMES:
        return OLD_NAMES[name], (f"{name} is the 2015 archive's name of {OLD_NAMES[name]}.",)
    return name, ()


def old_names(name: str) -> tuple[str, ...]:
    """Names that the archive of 2015 has for a set, other than its present one."""
    return tuple(old for old, new in OLD_NAMES.items() if new == name)


def known_names() -> set[str]:
    """Every name, old or new, that the archives or sktime's bundle have."""
    return {*UCR128, *UEA30, *BUNDLED, *OLD_NAMES}
