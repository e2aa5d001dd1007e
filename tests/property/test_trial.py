import json

from hypothesis import given

from joulefleet.plan.trial import Trial, trial_from_json, trial_to_json
from tests.property.strategies import trials


@given(trials())
def test_a_trial_survives_json(trial: Trial) -> None:
    """The agent reads the trial that the coordinator wrote, with the same protocol digest."""
    there_and_back = trial_from_json(json.loads(json.dumps(trial_to_json(trial))))
    assert there_and_back == trial
    assert there_and_back.protocol.digest == trial.protocol.digest
