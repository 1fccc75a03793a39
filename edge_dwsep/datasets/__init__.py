"""Labelled images to train, calibrate and measure on."""
