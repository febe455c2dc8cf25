"""The recipe of models/bundled: distilled encoders, then heads and fusion, then calibration."""
