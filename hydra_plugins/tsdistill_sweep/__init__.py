"""What Hydra finds of tsdistill among its plug-ins: a sweeper and a launcher."""
