"""Default schedules: how a compute definition becomes loops that suit the target's registers."""
