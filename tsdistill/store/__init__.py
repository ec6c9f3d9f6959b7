"""What lies on disk: teachers, pools, maps, run records and locks. Only this room writes them."""
