"""The user's model and data, checked and made ready to be explained many times."""
