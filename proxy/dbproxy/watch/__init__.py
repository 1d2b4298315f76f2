"""What is watched outside this pod: each module emits facts of one kind; none imports another."""
