"""The checks of `awaccli.data.validate`, by subject."""
