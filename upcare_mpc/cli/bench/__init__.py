"""``upcare bench``: what each step of a study costs, by the same code as a study."""
