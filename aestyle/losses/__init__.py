"""Pure functions of tensors, each naming its equation."""
