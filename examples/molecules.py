"""From SMILES to "which molecules lie at this node?", with their names all the way.

Run it from the root of the repository with `make molecules`, or, where dask_igtm is installed with its extras
`examples` and `moses`, with

    python examples/molecules.py [--output DIR]

RDKit turns 60 molecules of well-known families into counts of Morgan's fragments, which are the columns of a
frame. Name and SMILES stand beside them as ids, and come back with every answer. It prints which molecules
lie at the node of caffeine, and which in the part of the map where the steroids are, and writes into
examples/output, or into DIR:

    molecules.csv    name, SMILES, place on the map, node, entropy and log-likelihood of each molecule
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from dask_igtm import IGTM, landscape

FAMILIES = {
    "amino acid": {
        "glycine": "NCC(=O)O",
        "alanine": "CC(N)C(=O)O",
        "valine": "CC(C)C(N)C(=O)O",
        "leucine": "CC(C)CC(N)C(=O)O",
        "isoleucine": "CCC(C)C(N)C(=O)O",
        "serine": "NC(CO)C(=O)O",
        "threonine": "CC(O)C(N)C(=O)O",
        "cysteine": "NC(CS)C(=O)O",
        "methionine": "CSCCC(N)C(=O)O",
        "aspartic acid": "NC(CC(=O)O)C(=O)O",
        "glutamic acid": "NC(CCC(=O)O)C(=O)O",
        "asparagine": "NC(CC(N)=O)C(=O)O",
        "glutamine": "NC(CCC(N)=O)C(=O)O",
        "lysine": "NCCCCC(N)C(=O)O",
        "phenylalanine": "NC(Cc1ccccc1)C(=O)O",
        "tyrosine": "NC(Cc1ccc(O)cc1)C(=O)O",
    },
    "fatty acid": {
        "butyric acid": "CCCC(=O)O",
        "caproic acid": "CCCCCC(=O)O",
        "caprylic acid": "CCCCCCCC(=O)O",
        "capric acid": "CCCCCCCCCC(=O)O",
        "lauric acid": "CCCCCCCCCCCC(=O)O",
        "myristic acid": "CCCCCCCCCCCCCC(=O)O",
        "palmitic acid": "CCCCCCCCCCCCCCCC(=O)O",
        "stearic acid": "CCCCCCCCCCCCCCCCCC(=O)O",
        "oleic acid": "CCCCCCCCC=CCCCCCCCC(=O)O",
        "linoleic acid": "CCCCCC=CCC=CCCCCCCCC(=O)O",
    },
    "steroid": {
        "testosterone": "CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2O",
        "nandrolone": "CC12CCC3C(CCC4=CC(=O)CCC34)C1CCC2O",
        "androstenedione": "CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2=O",
        "progesterone": "CC(=O)C1CCC2C3CCC4=CC(=O)CCC4(C)C3CCC12C",
        "cortisone": "CC12CCC(=O)C=C1CCC1C2C(=O)CC2(C)C1CCC2(O)C(=O)CO",
        "hydrocortisone": "CC12CCC(=O)C=C1CCC1C2C(O)CC2(C)C1CCC2(O)C(=O)CO",
        "prednisone": "CC12C=CC(=O)C=C1CCC1C2C(=O)CC2(C)C1CCC2(O)C(=O)CO",
        "prednisolone": "CC12C=CC(=O)C=C1CCC1C2C(O)CC2(C)C1CCC2(O)C(=O)CO",
        "estradiol": "CC12CCC3c4ccc(O)cc4CCC3C1CCC2O",
        "estrone": "CC12CCC3c4ccc(O)cc4CCC3C1CCC2=O",
        "estriol": "CC12CCC3c4ccc(O)cc4CCC3C1CC(O)C2O",
        "cholesterol": "CC(C)CCCC(C)C1CCC2C3CC=C4CC(O)CCC4(C)C3CCC12C",
    },
    "profen": {
        "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
        "naproxen": "COc1ccc2cc(ccc2c1)C(C)C(=O)O",
        "ketoprofen": "CC(C(=O)O)c1cccc(c1)C(=O)c1ccccc1",
        "flurbiprofen": "CC(C(=O)O)c1ccc(c(F)c1)-c1ccccc1",
        "fenoprofen": "CC(C(=O)O)c1cccc(Oc2ccccc2)c1",
        "hydratropic acid": "CC(C(=O)O)c1ccccc1",
        "fenbufen": "OC(=O)CCC(=O)c1ccc(cc1)-c1ccccc1",
        "felbinac": "OC(=O)Cc1ccc(cc1)-c1ccccc1",
    },
    "xanthine": {
        "xanthine": "O=c1[nH]c(=O)c2[nH]cnc2[nH]1",
        "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
        "theobromine": "Cn1cnc2c1c(=O)[nH]c(=O)n2C",
        "theophylline": "Cn1c(=O)c2[nH]cnc2n(C)c1=O",
        "paraxanthine": "Cn1cnc2c1c(=O)n(C)c(=O)[nH]2",
        "pentoxifylline": "CC(=O)CCCCn1c(=O)c2c(ncn2C)n(C)c1=O",
    },
    "phenethylamine": {
        "phenethylamine": "NCCc1ccccc1",
        "tyramine": "NCCc1ccc(O)cc1",
        "dopamine": "NCCc1ccc(O)c(O)c1",
        "noradrenaline": "NCC(O)c1ccc(O)c(O)c1",
        "adrenaline": "CNCC(O)c1ccc(O)c(O)c1",
        "ephedrine": "CNC(C)C(O)c1ccccc1",
        "mescaline": "COc1cc(CCN)cc(OC)c1OC",
        "salbutamol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    },
}
FRAGMENTS = GetMorganGenerator(radius=2, fpSize=512)
IDS = ["name", "smiles"]


def main() -> None:
    """Run the steps one after the other and say what came out."""
    parser = argparse.ArgumentParser(description="Ask a map of molecules which of them lie where.")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    output = parser.parse_args().output

    frame = molecules()
    columns = frame.drop(columns=[*IDS, "family"])
    igtm = IGTM(k=8, m=3, scale="center", solver="em", n_components=8).fit(columns)
    named = frame.drop(columns="family")

    table = igtm.table(named, ids=IDS)
    output.mkdir(parents=True, exist_ok=True)
    table.to_csv(output / "molecules.csv")
    print(f"{len(table)} molecules on {table['node'].nunique()} of {len(igtm.nodes_)} nodes:")
    print(table[["x1", "x2", "node"]].droplevel("smiles").head().round(2), "\n")

    node = int(table.loc["caffeine", "node"].iloc[0])
    print(f"At node {node}, where caffeine is:")
    print(likely(landscape.members(igtm, named, IDS, top=8, region=node)), "\n")

    steroids = table[["x1", "x2"]][(frame["family"] == "steroid").to_numpy()]
    least, most = steroids.min(), steroids.max()
    box = (least["x1"], most["x1"], least["x2"], most["x2"])
    print(f"In the box of the steroids, {np.round(box, 2).tolist()}:")
    print(likely(landscape.members(igtm, named, IDS, top=20, region=box)))


def molecules() -> pd.DataFrame:
    """Return a row for each molecule: name, SMILES and family, then how often it has each fragment."""
    ids = [(name, smiles, family) for family, members in FAMILIES.items() for name, smiles in members.items()]
    counts = [FRAGMENTS.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(smiles)) for _, smiles, _ in ids]
    fragments = pd.DataFrame(np.array(counts, float), columns=[f"fragment {i}" for i in range(512)])
    return pd.concat([pd.DataFrame(ids, columns=[*IDS, "family"]), fragments], axis=1)


def likely(members: pd.DataFrame) -> str:
    """Show the members that are more likely there than not."""
    return str(members[members["probability"] > 0.5].drop(columns="rank").to_string(index=False))


if __name__ == "__main__":
    main()
