"""An engine of `benchmarks/generation.py`: transformers, or CTranslate2 in float32 or int8.

python their_answers.py transformers|float32|int8 FOLDER THREADS
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from prompts import make_prompts, peak_memory  # noqa: E402
from workers import serve, timed  # noqa: E402


def main(engine, folder, threads):
    sizes = json.loads(Path(folder, "sizes.json").read_text())
    make = transformers_engine if engine == "transformers" else ctranslate2_engine
    answer, version = make(Path(folder, engine), int(threads))

    def generate(batch, ragged, new):
        prompts = make_prompts(batch, ragged, sizes["vocabulary_size"])
        ids = []
        figures = timed(lambda: ids.extend(answer(prompts, new)))
        return {**figures, "peak_memory": peak_memory(), "beginning": list(map(int, ids[0][:4]))}

    serve({"version": version}, {"generate": generate})


def transformers_engine(folder, threads):
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def answer(prompts, new):
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
        with torch.no_grad():
            out = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new,
                do_sample=False, pad_token_id=0,
            )  # fmt: skip
        return out[:, width:].tolist()

    return answer, f"transformers {transformers.__version__} on PyTorch {torch.__version__}"


def ctranslate2_engine(folder, threads):
    import ctranslate2

    generator = ctranslate2.Generator(
        str(folder), device="cpu", intra_threads=threads, compute_type=folder.name
    )

    def answer(prompts, new):
        tokens = [[f"<{i}>" for i in row] for row in prompts]
        results = generator.generate_batch(
            tokens, max_length=new, min_length=new, sampling_topk=1, include_prompt_in_result=False
        )
        return [result.sequences_ids[0] for result in results]

    return answer, f"CTranslate2 {ctranslate2.__version__}"


if __name__ == "__main__":
    main(*sys.argv[1:])
