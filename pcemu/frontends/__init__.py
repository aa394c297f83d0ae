"""What shows the screen and takes the keys."""
