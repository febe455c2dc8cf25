"""The training loop: any device, any number of processes, and it resumes after a kill at any moment."""
