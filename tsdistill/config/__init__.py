"""What an experiment is made of: typed settings, where they are found, and what is said of a wrong one."""
