"""Emotion recognition as a training task: examples to batches, batches to losses and predictions."""
