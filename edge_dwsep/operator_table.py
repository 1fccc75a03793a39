def print_operators(*a):
    pass
