"""Steps from each schema of a store to the next, in the order of their names; applied by Alembic."""
