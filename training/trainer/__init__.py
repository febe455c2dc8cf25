"""The training loop: many epochs, any device, any number of processes, stopped and resumed at any moment."""
