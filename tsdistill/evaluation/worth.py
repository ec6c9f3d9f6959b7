"""Whether a teacher knows more than a student that had no teacher."""

PERFECT = 1.0


def is_ahead(teacher: float, plain: float) -> bool:
    """Whether a teacher's average precision is above the plain student's, or both are perfect.

    A student follows its teacher. Under a teacher that is not ahead, a distilled student may well be worse
    than a plain one.

    Args:
        teacher: the teacher's macro average precision on the validation part.
        plain: that of the plain student there, the mean over its seeds.

    Returns:
        False where there is nothing to learn from the teacher, as far as a small validation part can tell.
    """
    return teacher > plain or teacher >= PERFECT
