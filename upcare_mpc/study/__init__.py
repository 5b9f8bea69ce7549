"""What may be asked: the study language, the study file, and the shape of the answer."""
