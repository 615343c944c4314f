"""What pandas and scikit-learn make of texts in `tests.rs`, which quotes the numbers.

Run with Python 3.11.7, NumPy 2.4.6, pandas 3.1.1, scikit-learn 1.9.1."""
import io
import numpy as np
import pandas as pd
import sklearn
from sklearn.impute import SimpleImputer

TEXT = "1,NA,a\n2,10,b\n,20,b\n7,?,a\n4,45,a\n"
frame = pd.read_csv(io.StringIO(TEXT), header=None, na_values=["?"])
x = frame[[0, 1]].to_numpy(dtype=np.float64)
print(np.__version__, pd.__version__, sklearn.__version__)
print("drop", frame.dropna().to_numpy().tolist())
for strategy in ["mean", "median"]:
    print(strategy, SimpleImputer(strategy=strategy).fit_transform(x).tolist())
print("constant", SimpleImputer(strategy="constant", fill_value=-1.5).fit_transform(x).tolist())
print("listed by value", pd.read_csv(io.StringIO("1,-999.0,a\n2,3,b\n"), header=None, na_values=["-999"]).isna().to_numpy().tolist())
print("tab", pd.read_csv(io.StringIO("1\t2\ta\n\t\t\n3\t4\tb\n"), header=None, sep="\t").isna().to_numpy().tolist())
print("ids", pd.read_csv(io.StringIO("1,9007199254740993\n2,9007199254740992\n3,9007199254740994\n"), header=None)[1].tolist())
for text in ["NA,NA,a\n1,2,b\n3,4,a\n", ",,a\n1,2,b\n"]:
    print(repr(text), pd.read_csv(io.StringIO(text), header=None).shape)
