"""What people write where there is no marketfetch: four programs, each as short as its kind is written in earnest."""
