"""What is stored on disk: teachers, pools, maps, run records and locks. Only this package writes them."""
