"""The ground floor: what the emulator knows, and the one door to moto."""
