"""What each operator of a model costs on a device: time, multiply-accumulates, and which one an engine dies of."""
