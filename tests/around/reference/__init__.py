"""The pages of docs/reference, made from the code for `make docs`: the site has them, the repository does not.

Each module makes one page from what the program itself reads: the model of the settings, the commands, the registered tasks,
the metrics, the SQL. `python -m tests.around.reference FOLDER` writes them.
"""
