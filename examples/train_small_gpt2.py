"""Train the small GPT-2 whose polytopes the figures and pages look at: minutes on two cores.

    python examples/train_small_gpt2.py [--steps N] [--out FOLDER]

reads the documents of OpenWebText below POLYGEOM_DATA and saves the model as a folder of safetensors, by default
in the user's cache; ``polygeom.models.gpt2.load(folder)`` reads it. Its loss on documents it was not trained on is
printed beside two that take no network: equal chances for every token, and the tokens' frequencies.
"""

import argparse
import math
import time

from polygeom.models import small_gpt2
from polygeom.models.tokens import read_documents

parser = argparse.ArgumentParser(description="Train a small GPT-2 on OpenWebText.")
parser.add_argument("--steps", type=int, default=small_gpt2.Schedule.steps, help="steps of the optimizer")
parser.add_argument("--out", default=small_gpt2.folder(), help="folder to save into")
given = parser.parse_args()

size, schedule = small_gpt2.Size(), small_gpt2.Schedule(steps=given.steps)
started = time.perf_counter()
training = small_gpt2.train(read_documents(), size, schedule, progress=True)
training.save(given.out)

print(
    f"{schedule.steps} steps of {schedule.batch} x {size.context} tokens: {time.perf_counter() - started:.0f} s"
)
print(f"cross-entropy per token, held out: {training.held_out:.3f} nats")
print(f"by the tokens' frequencies:        {training.unigram:.3f}")
print(f"equal chances:                     {math.log(size.vocabulary):.3f}")
print(f"saved in {given.out}")

assert training.held_out < training.unigram, "the model has learned nothing from context"
