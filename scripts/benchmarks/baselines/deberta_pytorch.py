"""Time the steps of transformers' PyTorch class."""

from __future__ import annotations

import os

os.environ["USE_TF"] = "0"

import numpy as np
import steps
import torch
import transformers

options = steps.parse_options()
torch.manual_seed(1)
model = transformers.AutoModelForTokenClassification.from_pretrained(options.folder)
optimizer = torch.optim.AdamW(model.parameters(), lr=steps.LEARNING_RATE, weight_decay=steps.WEIGHT_DECAY)
autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bfloat16")


def train(input_ids: np.ndarray, labels: np.ndarray) -> object:
    model.train()
    with autocast:
        loss = model(input_ids=torch.from_numpy(input_ids), labels=torch.from_numpy(labels)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), steps.CLIP_NORM)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def predict(input_ids: np.ndarray, labels: np.ndarray) -> object:
    model.eval()
    with torch.inference_mode(), autocast:
        return model(input_ids=torch.from_numpy(input_ids)).logits.float().numpy()


steps.measure(options, training=train, forward=predict)
