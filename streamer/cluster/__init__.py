"""The pipeline on a Ray cluster: batch jobs over recordings, and models that several servers share."""
