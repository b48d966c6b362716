"""Back ends: each a package that reads the machine description, and a folder of templates."""
