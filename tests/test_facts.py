"""Pairs that contradict a file of facts are stopped, and right ones are not."""

import unicodedata

import pytest
from pairs import GAZETTEER, NAMES, lines_of, questions_of, write_csv

import keras_vngpt
from keras_vngpt.augmentation.facts import Facts
from keras_vngpt.augmentation.pair_cleaning import clean, clean_question

FORBIDDEN = [
    ("Đà Lạt có gì?", "Đà Lạt có biển."),
    ("Đà Lạt có gì?", "ĐÀ LẠT CÓ BIỂN ĐẸP"),
    ("Đà Lạt có gì đẹp?", "Có biển và núi."),
    ("Biển Đà Lạt có đẹp không?", "Biển ở Đà Lạt rất đẹp."),
    ("Đà Lạt có biển không?", "Có, biển rất đẹp."),
    ("Đà Lạt có biển đúng không?", "Đúng vậy."),
    ("Ở Đà Lạt có biển không em?", "Dạ có ạ."),
    ("Bãi biển nào ở Đà Lạt đẹp nhất?", "Bãi Sau đẹp nhất."),
    ("Tắm biển ở Đà Lạt mùa nào đẹp?", "Mùa hè."),
    ("Khách sạn sát biển ở Đà Lạt giá bao nhiêu?", "Khoảng 500.000 đồng."),
    ("Nên làm gì?", "Bạn nên tắm biển ở Đà Lạt vào buổi sáng."),
    ("Đà Lạt có gì?", "Đà Lạt không chỉ có núi mà còn có biển."),
    ("Đà Lạt thế nào?", "Đà Lạt không khí trong lành, có biển xanh."),
    ("Đà Lạt thế nào?", "Đà Lạt rất đẹp. Ở đó có bãi biển dài."),
    ("Đi đâu?", "Đà Lạt và Nha Trang đều có biển."),
    ("Đi đâu?", "Nằm bên bờ biển, Đà Lạt rất đẹp."),
    ("Đi đâu?", "Có biển, có núi, Đà Lạt là điểm đến tuyệt vời."),
    ("Đi đâu?", "Đà Lạt có hồ Xuân Hương và có biển."),
    ("Lịch trình 3 ngày ở Đà Lạt", "Ngày đầu tắm biển, ngày hai săn mây."),
    ("Da Lat co gi?", "Da Lat co bien dep."),
    ("Đi đâu?", "Đà Lạt - thành phố biển."),
    ("Thủ đô Việt Nam là gì?", "Thủ đô của Việt Nam là Huế."),
    ("Sài Gòn?", "Sài Gòn là thủ đô của Việt Nam."),
    ("Phú Quốc ở đâu?", "Phú Quốc nằm ở miền Bắc."),
    ("Miền Nam có gì?", "Miền Nam có Sa Pa rất đẹp."),
    ("Hồ Gươm ở đâu?", "Hồ Gươm ở trung tâm thành phố Huế."),
    ("Chợ Bến Thành nằm ở Hà Nội phải không?", "Vâng, đúng rồi."),
    ("Núi nào cao?", "Nóc nhà Đông Dương là núi Bà Đen."),
    ("Mùa đông?", "Tuyết rơi ở Sài Gòn mỗi năm."),
    ("Đi thế nào?", "Bạn bay thẳng đến Hội An."),
    ("Trường Sa của nước nào?", "Trường Sa của Trung Quốc."),
    ("Ponagar ở đâu?", "Tháp Bà Ponagar ở Thanh Hoá."),
]  # fmt: skip

RIGHT = [
    ("Đà Lạt có biển không?", "Đà Lạt không có biển."),
    ("Đà Lạt có biển không?", "Không, Đà Lạt ở trên cao nguyên."),
    ("Đà Lạt có biển không?", "Đà Lạt làm gì có biển, muốn tắm biển thì xuống Nha Trang."),
    ("Biển ở Đà Lạt đẹp nhất chỗ nào?", "Đà Lạt không có biển, bạn có thể xuống Nha Trang."),
    ("Đà Lạt không có biển đúng không?", "Đúng vậy."),
    ("Từ Đà Lạt đi biển nào gần?", "Từ Đà Lạt xuống biển Nha Trang khoảng 140 km."),
    ("Đà Lạt hay Nha Trang có biển?", "Nha Trang có biển, còn Đà Lạt thì không."),
    ("Nơi nào có biển?", "Khác với Đà Lạt, Nha Trang có biển."),
    ("Săn mây ở đâu?", "Đà Lạt có biển mây rất đẹp."),
    ("Đà Lạt?", "Nói Đà Lạt có biển là sai."),
    ("Đà Lạt?", "Đà Lạt có biển đâu."),
    ("Sa Pa hay Đà Nẵng?", "Sa Pa hợp ngắm mây, Đà Nẵng hợp tắm biển."),
    ("Đi đâu?", "Ngày đầu ở Đà Lạt, ngày sau xuống Nha Trang tắm biển."),
    ("Đà Lạt cao bao nhiêu?", "Đà Lạt cao 1.500 mét so với mực nước biển."),
    ("Huế?", "Huế từng là thủ đô của Việt Nam."),
    ("Đi thế nào?", "Từ Sài Gòn ra thủ đô Hà Nội mất 2 giờ bay."),
    ("Hồ Gươm ở đâu?", "Hồ Gươm ở trung tâm Hà Nội."),
    ("Chơi đâu?", "Ngoài hồ Gươm, bạn có thể thăm hồ Xuân Hương ở Đà Lạt."),
    ("Núi nào cao?", "Núi Bà Đen cao nhất Nam Bộ, Fansipan cao nhất Việt Nam."),
    ("Đi thế nào?", "Hội An không có sân bay, bạn bay đến Đà Nẵng."),
    ("Bún bò?", "Bún bò Huế ở miền Nam thường ngọt hơn."),
    ("Trường Sa của ai?", "Trường Sa của Việt Nam, không phải của Trung Quốc."),
    ("Giá phòng?", "Ở Đà Lạt khoảng 400.000 đồng, ở Nha Trang gần biển khoảng 600.000 đồng."),
]

FORBIDDEN += [("Bạn kể gì đi?", line.strip()) for line in """
    Có biển ở Đà Lạt.
    Ở Đà Lạt có biển.
    Biển có ở Đà Lạt.
    Đà Lạt là nơi có biển.
    Tại Đà Lạt, du khách có thể tắm biển.
    Thành phố Đà Lạt nằm cạnh biển.
    Đà Lạt có bờ biển dài.
    Khách sạn Đà Lạt hướng biển giá tốt.
    Du lịch biển Đà Lạt rất hấp dẫn.
    Đi biển ở Đà Lạt rất vui.
    Bạn đi tắm ở biển Đà Lạt nhé.
    Đà Lạt có view biển đẹp.
    Hà Nội có biển.
    Sapa có biển.
    Hà Nội ở miền Nam.
    Phú Quốc thuộc miền Bắc nước ta.
    TP.HCM là thủ đô.
    TP HCM là thủ đô của Việt Nam.
    Thành phố Hồ Chí Minh là thủ đô nước Việt Nam.
    Hội An nằm ở miền Bắc.
    Hồ Gươm ở TP.HCM.
    Vịnh Hạ Long nằm ở miền Nam.
    Nha Trang không có biển.
    Đà Nẵng là thành phố không có biển.
    Hồ Hoàn Kiếm nằm ở Đà Nẵng.
    Đà Lạt nằm ở miền Bắc Việt Nam.
    Đà Lạt nằm ngay bên bờ biển.
    Biển xanh cát trắng ở Đà Lạt làm say lòng người.
    Đến Đà Lạt để tắm biển.
    Đà Lạt nổi tiếng với biển xanh.
    Đà Lạt nổi tiếng vì có biển.
    Đà Lạt, nơi có bãi biển đẹp nhất Việt Nam.
    Vì giáp biển nên Đà Lạt rất mát.
    Đà Lạt vừa có núi vừa có biển.
    Đà Lạt còn có biển nữa.
    Mùa hè, Đà Lạt đông người tắm biển.
    Đà Lạt có biển, không có núi.
    Bãi Sau là bãi biển đẹp ở Đà Lạt.
    Chùa Thiên Mụ ở Hà Nội.
    Cầu Rồng ở Huế.
    Cố đô Huế nằm ở miền Nam.
    Đà Lạt là thủ đô của Việt Nam.
    Mùa đông ở Sài Gòn có tuyết.
    Tuyết rơi nhiều ở Nha Trang.
""".strip().splitlines()]  # fmt: skip

RIGHT += [("Bạn kể gì đi?", line.strip()) for line in """
    Nha Trang có biển.
    Nha Trang không có biển báo giao thông bằng tiếng Anh.
    Đà Nẵng không có biển nào bẩn.
    Đà Lạt nổi tiếng vì có hoa, không có biển.
    Đà Lạt không phải thành phố biển.
    Đà Lạt không nằm cạnh biển.
    Vì không giáp biển nên Đà Lạt ít gió.
    Dù không có biển, Đà Lạt vẫn đông khách.
    Đà Lạt tuy không có biển nhưng rất đẹp.
    Đà Lạt có hồ, thác và đồi thông, không có biển.
    Đà Lạt cách biển gần nhất khoảng 100 km.
    Du khách thích biển nên chọn Nha Trang thay vì Đà Lạt.
    Nếu muốn tắm biển, bạn từ Đà Lạt xuống Phan Thiết.
    Huế là cố đô, không phải thủ đô.
    Sài Gòn không phải là thủ đô.
    Thủ đô của Việt Nam là Hà Nội.
    Thủ đô Hà Nội cách Sài Gòn khoảng 1.700 km.
    Từ thủ đô Hà Nội, bạn bay vào Đà Nẵng.
    Đà Nẵng ở miền Trung.
    Hội An ở miền Trung, gần Đà Nẵng.
    Sa Pa ở miền Bắc, Đà Lạt ở Tây Nguyên.
    Phú Quốc ở miền Nam, còn Cát Bà ở miền Bắc.
    Hà Nội ở miền Bắc và Sài Gòn ở miền Nam.
    Cầu Vàng ở Bà Nà, Đà Nẵng.
    Chợ Bến Thành ở Sài Gòn, cách Dinh Độc Lập 1 km.
    Vịnh Hạ Long ở Quảng Ninh.
    Vịnh Hạ Long ở miền Bắc.
    Fansipan ở Sa Pa.
    Sa Pa mùa đông có năm có tuyết, Đà Lạt thì không.
    Đà Lạt lạnh nhưng không có tuyết.
    Bạn bay đến Đà Nẵng, rồi đi xe đến Hội An.
    Côn Đảo không có tàu hỏa, bạn bay hoặc đi tàu cao tốc.
    Khách sạn ở Nha Trang hướng biển, khách sạn ở Đà Lạt hướng hồ.
    Hồ Gươm ở Hà Nội, hồ Xuân Hương ở Đà Lạt.
    Hoàng Sa và Trường Sa là của Việt Nam.
    Sông Hương chảy qua Huế, còn sông Hàn chảy qua Đà Nẵng.
    Vé tàu từ Hà Nội vào Huế khoảng 600.000 đồng.
    Bà Nà ở Đà Nẵng, Sa Pa ở Lào Cai.
""".strip().splitlines()]  # fmt: skip


@pytest.fixture(scope="module")
def facts():
    return Facts(["samples:travel_facts.yaml"], GAZETTEER)


def test_decomposed_files_are_read_as_composed_ones(tmp_path):
    def decomposed(name, text):
        (tmp_path / name).write_text(unicodedata.normalize("NFD", text), encoding="utf-8")
        return str(tmp_path / name)

    data = decomposed("a.csv", "request,response\nquán bà lộc ở đâu,Tới quán Bà Lộc ở huế.\n")
    templates = decomposed("t.yaml", 'tones: {a: {question: ["Chỉ giùm {clause}?"]}}')
    synonyms = decomposed("s.yaml", "synonyms: {ở đâu: [chỗ mô]}")
    output = str(tmp_path / "b.jsonl")
    keras_vngpt.augment(
        data=[data], output=output, templates=templates, synonyms=synonyms, without_diacritics=0,
        names="samples:travel_names.txt",
    )  # fmt: skip
    assert set(questions_of(output)) == {
        "Quán Bà Lộc ở đâu?", "Chỉ giùm quán Bà Lộc ở đâu?", "Chỉ giùm quán Bà Lộc chỗ mô?",
    }  # fmt: skip
    assert lines_of(output)[0]["messages"][2]["content"] == "Tới quán Bà Lộc ở Huế."


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_contradicts_is_stopped_and_what_is_right_is_not(facts, form):
    def found(pair):
        return facts.contradiction(*(unicodedata.normalize(form, text) for text in pair))

    assert [pair for pair in FORBIDDEN if not found(pair)] == []
    assert [(pair, found(pair)) for pair in RIGHT if found(pair)] == []


@pytest.mark.parametrize(
    "text", ["Khánh Hòa có tuyết.", "Khánh Hoà có tuyết.", "KHÁNH HOÀ CÓ TUYẾT"]
)
def test_tone_placement_hides_no_contradiction(tmp_path, text):
    path = tmp_path / "facts.yaml"
    fact = "{subject: [Khánh Hoà], claim: có tuyết, verdict: forbidden, patterns: [có tuyết]}"
    path.write_text(f"facts: [{fact}]", encoding="utf-8")
    assert Facts([str(path)]).contradiction("Hỏi gì?", text) == "Khánh Hoà: có tuyết"
    assert not Facts([str(path)]).contradiction("Hỏi gì?", "Khánh Hòa không có tuyết.")


def test_a_question_with_two_answers_keeps_the_first_and_names_the_other(tmp_path):
    pairs = [("Chợ Đà Lạt ở đâu?", "Ở trung tâm."), ("chợ Đà Lạt ở đâu", "Gần hồ."),
             ("Chợ Đà Lạt ở đâu?", "Ở trung tâm.")]  # fmt: skip
    data, output = write_csv(tmp_path / "qa.csv", pairs), tmp_path / "set.jsonl"
    figures = keras_vngpt.augment(data=[data], output=str(output), variants=2)
    assert figures["rejected"] == 1 and figures["dropped"]["original: a copy"] == 1
    rejected = output.with_suffix(".rejected.log").read_text(encoding="utf-8")
    assert f"{data}:3\tanother answer than in {data}:2\tChợ Đà Lạt ở đâu?\tGần hồ." in rejected
    assert "Gần hồ" not in output.read_text(encoding="utf-8")


def test_planted_contradictions_do_not_reach_the_output(tmp_path):
    pairs = [(f"{i}. {q}", a) for i, (q, a) in enumerate(FORBIDDEN)]
    data = write_csv(tmp_path / "a.csv", [*pairs, *RIGHT])
    output = tmp_path / "b.jsonl"
    keras_vngpt.augment(data=[data], output=str(output), variants=3, subject="travel")
    kept = {tuple(m["content"] for m in line["messages"][1:]) for line in lines_of(output)}
    cleaned = [(clean_question(q, NAMES), clean(a, NAMES)) for q, a in (*FORBIDDEN, *RIGHT)]
    assert not kept & set(cleaned[: len(FORBIDDEN)])
    assert kept >= set(dict(reversed(cleaned[len(FORBIDDEN) :])).items())  # the first of a question
    rejected = output.with_suffix(".rejected.log").read_text(encoding="utf-8")
    assert f"{data}:2\tĐà Lạt: có biển\tĐà Lạt có gì?" in rejected
    stopped = [line for line in rejected.splitlines()[1:] if "another answer" not in line]
    assert len(stopped) == len(FORBIDDEN)
    clean_data = write_csv(tmp_path / "c.csv", dict(RIGHT).items())
    keras_vngpt.augment(data=[clean_data], output=str(output), variants=1, subject="travel")
    assert not output.with_suffix(".rejected.log").exists()
