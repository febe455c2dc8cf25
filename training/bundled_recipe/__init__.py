"""How models/bundled is made: distilled encoders, then heads and fusion, then calibration."""
