"""Plays one scenario: run.py SCENARIO PORT VERSION...; run.py --list shows them all."""

import inspect
import os
import sys
import traceback

import crowds
import messages
import sessions
import subscriptions
from harness import Broker, Failure

SCENARIOS = {
    name: function
    for module in (crowds, messages, sessions, subscriptions)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(SCENARIOS))
        return 0
    scenario, port, *versions = sys.argv[1:]
    for version in versions:
        try:
            SCENARIOS[scenario](Broker(int(port), version))
        except Failure as failure:
            line = traceback.extract_tb(failure.__traceback__)[1]
            place = f"{os.path.basename(line.filename)}:{line.lineno}"
            print(f"{scenario}, MQTT {version}: {failure}\n  at {place}")
            return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the clients' threads need not be asked
