CATEGORIES = (
    "#332288",
    "#DDCC77",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#ff7f0e",
    "#1f77b4",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#bcbd22",
    "#17becf",
    "#2ca02c",
    "#aec7e8",
    "#ffbb78",
)
OTHER = "#cccccc"
AMOUNTS = ["#ffffff", "#d8ecb0", "#7fcdbb", "#2c7fb8", "#253494", "#1a1050"]
DIVERGING = ["#2166ac", "#ffffff", "#b35806"]
CYCLIC = ["#5a3d8a", "#4f8cb0", "#b0a060", "#b05050", "#5a3d8a"]
SEQUENTIAL = [
    "#440154",
    "#472d7b",
    "#3b528b",
    "#2c728e",
    "#21918c",
    "#28ae80",
    "#5ec962",
    "#addc30",
    "#fde725",
]
