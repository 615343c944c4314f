"""What scikit-learn makes of texts in `tests.rs`, which quotes the numbers.

Run with Python 3.11.7, NumPy 2.4.6, scikit-learn 1.9.1."""
import io

import sklearn
from sklearn.datasets import load_svmlight_file

print(sklearn.__version__)
for text in [b"1 1:5 3:6\n2 2:7\n", b"1 1:5 3:6\n2 0:7\n"]:
    for zero_based in ["auto", True, False]:
        try:
            x, _ = load_svmlight_file(io.BytesIO(text), zero_based=zero_based)
            print(text, zero_based, x.toarray().tolist())
        except ValueError as error:
            print(text, zero_based, error)
text = b"2 qid:1 1:5\n1 qid:-7\t2:6 # a note\n0 qid:1\n"
x, y, query = load_svmlight_file(io.BytesIO(text), query_id=True)
print(x.toarray().tolist(), y.tolist(), query.tolist())
x, y = load_svmlight_file(io.BytesIO(text))
print("skipped", x.toarray().tolist())
for text in [b"1 qid:1\n2 1:1\n", b"1 1:1 2:1 1:3\n"]:
    try:
        print(text, [part.tolist() for part in load_svmlight_file(io.BytesIO(text), query_id=True)[1:]])
    except ValueError as error:
        print(text, error)
