"""The kinds of training, one file each."""

from keras_vngpt.tasks.finetune import Finetune
from keras_vngpt.tasks.pretrain import Pretrain

TASKS = {task.name: task for task in (Pretrain(), Finetune())}
DEFAULT_STAGES = ("pretrain", "finetune")  # what `fit` trains where nothing is said
