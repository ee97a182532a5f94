"""Where compiled networks are executed: this machine, emulators, boards over ssh and adb."""
