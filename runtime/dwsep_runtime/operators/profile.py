def profile_operators(*a, **k):
    return {}
