"""Training: pictures in, a model file out. Needs the extra ``[train]``."""
