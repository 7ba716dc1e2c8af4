"""What keeps a backup from being made, trusted or restored, as sentences for the operator."""


class BackupError(Exception):
    """One line for each thing that is wrong; nothing was changed where it says nothing else."""
