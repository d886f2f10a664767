from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk

from xanes_live.errors import ConfigurationError
from xanes_live.theory.recipe import Recipe, Source, load_recipe, parse_recipe, work_list
from xanes_live.theory.tasks import Settings, Task, run_task

SHIPPED = Path(__file__).parents[3] / "models" / "fe-k" / "dataset.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crystals = [bulk("FeO", "rocksalt", a=a) for a in (4.2, 4.3, 4.4)]
    for i, atoms in enumerate(crystals):
        atoms.info |= {"amcsd": i, "mineral": "Wustite" if i < 2 else "Other", "formula": "Fe O"}
    ase.io.write(tmp_path / "crystals.extxyz", crystals)
    molecules = [Atoms("FeO", [[0, 0, 0], [0, 0, 1.7 + i / 10]]) for i in range(4)]
    for i, atoms in enumerate(molecules):
        name = f"fe_{2 + i % 2}_water_ammonia_{1 + 4 * (i % 2)}"
        atoms.info |= {"name": name, "ox": 2 + i % 2, "spinmult": 1 + 4 * (i % 2), "absorber": 0}
        atoms.info["number"] = i
    ase.io.write(tmp_path / "molecules.extxyz", molecules)
    return tmp_path


def recipe() -> Recipe:
    return Recipe(
        element="Fe",
        source=(
            Source(name="mineral", share=0.25, files=("crystals.extxyz",)),
            Source(
                name="shaken",
                kind="distorted",
                share=0.5,
                files=("crystals.extxyz",),
                copies=20,
                strain=(0.95, 1.05),
                displacement=(0.03, 0.1),
            ),
            Source(name="metal", kind="alloys", share=0.25, copies=30),
        ),
    )


def test_every_prefix_has_the_shares_while_sources_last(folder: Path) -> None:
    first = list(itertools.islice(work_list(recipe(), folder), 12))
    assert Counter(t.meta["source"] for t in first) == {"mineral": 3, "shaken": 6, "metal": 3}
    everything = Counter(t.meta["source"] for t in work_list(recipe(), folder))
    assert everything == {"mineral": 3, "shaken": 60, "metal": 30}


def test_the_same_recipe_gives_the_same_structures(folder: Path) -> None:
    one, two = (list(itertools.islice(work_list(recipe(), folder), 40)) for _ in range(2))
    assert [t.id for t in one] == [t.id for t in two]
    assert all(
        (a.atoms.positions == b.atoms.positions).all() for a, b in zip(one, two, strict=True)
    )
    assert len({t.id for t in one}) == 40


def test_names_take_turns_and_twins_keep_their_parent(folder: Path) -> None:
    tasks = [t for t in work_list(recipe(), folder) if t.meta["source"] == "mineral"]
    assert {t.meta["name"] for t in tasks[:2]} == {"Wustite", "Other"}
    assert {t.meta["parent"] for t in tasks} == {"amcsd:FeO"}
    assert {t.meta["multiplicity"] for t in tasks} == {1}


def test_spin_states_of_one_set_of_ligands_are_twins(folder: Path) -> None:
    plan = Recipe(element="Fe", source=(Source(name="x", files=("molecules.extxyz",)),))
    tasks = list(work_list(plan, folder))
    assert {t.meta["parent"] for t in tasks} == {"ligands:water_ammonia"}
    assert {(t.meta["ox"], t.meta["spin"]) for t in tasks} == {(2, 1), (3, 5)}
    assert all(t.solid is None for t in tasks)


def named(folder: Path, *files: str, **sources: dict) -> dict[str, Task]:
    """The tasks of some files by id."""
    source = Source(name="a", files=files)
    more = [source.model_copy(update={"name": n} | change) for n, change in sources.items()]
    plan = Recipe(element="Fe", source=(source, *more))
    return {t.id: t for t in work_list(plan, folder)}


def test_a_structure_is_called_by_its_own_file_whatever_else_is_given(tmp_path: Path) -> None:
    files = ("1/POSCAR", "2/POSCAR", "fe.cif", "set.extxyz", "more/iron.xyz")
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        ase.io.write(tmp_path / file, bulk("FeO", "rocksalt", a=4.2))
    frames = [bulk("FeO", "rocksalt", a=4.2 + i / 10) for i in range(3)]
    for frame in frames:
        frame.info["name"] = "oxide"
    ase.io.write(tmp_path / "set.extxyz", frames)
    copies = {"b": {"kind": "distorted"}}
    together = named(tmp_path, *files, **copies)
    assert {t.meta["parent"] for t in together.values()} == {
        "1/POSCAR:0", "2/POSCAR:0", "fe:0", "iron:0", "set:oxide"
    }  # fmt: skip
    backwards = named(tmp_path, *reversed(files), **copies)
    alone = {k: v for file in files for k, v in named(tmp_path, file, **copies).items()}
    assert together.keys() == backwards.keys() == alone.keys()
    assert len(together) == 2 * 7
    for name, task in together.items():
        for other in (backwards, alone):
            assert (task.atoms.positions == other[name].atoms.positions).all()


def test_files_whose_structures_could_not_be_told_apart_are_refused(tmp_path: Path) -> None:
    for file in ("a/fe.cif", "b/fe.xyz"):
        (tmp_path / file).parent.mkdir()
        ase.io.write(tmp_path / file, bulk("Fe"))
    with pytest.raises(ConfigurationError, match=r"a/fe\.cif and of b/fe\.xyz .* called fe:"):
        named(tmp_path, "a/fe.cif", "b/fe.xyz")
    assert len(named(tmp_path, "a/fe.cif", "a/../a/fe.cif")) == 1


def test_one_number_of_a_data_base_is_one_structure(folder: Path) -> None:
    crystals = ase.io.read(folder / "crystals.extxyz", index=":")
    ase.io.write(folder / "few.extxyz", crystals[:2])
    assert len(named(folder, "crystals.extxyz", "few.extxyz")) == 3
    crystals[0].set_cell(crystals[0].cell * 1.1, scale_atoms=True)
    ase.io.write(folder / "few.extxyz", crystals[:2])
    with pytest.raises(ConfigurationError, match="different structures called amcsd:0"):
        named(folder, "crystals.extxyz", "few.extxyz")


def test_sources_left_out_and_shares_change_no_names(folder: Path) -> None:
    near = Source(name="near", kind="distorted", files=("crystals.extxyz",), share=1.0)
    far = near.model_copy(update={"name": "far", "strain": (1.1, 1.2), "copies": 3})
    metals = [Source(name=n, kind="alloys", copies=12) for n in ("m1", "m2")]

    def strains(plan: Recipe) -> dict[str, float]:
        return {t.id: t.meta["strain"] for t in work_list(plan, folder)}

    plan = Recipe(element="Fe", source=(near, far, *metals))
    everything = strains(plan)
    assert len(everything) == 3 + 9 + 24
    assert {k for k, v in everything.items() if v > 1.0} == set(strains(plan.only(["far"])))
    greedy = far.model_copy(update={"share": 50.0})
    assert strains(Recipe(element="Fe", source=(near, greedy, *metals))) == everything
    assert set(strains(plan.only(["m2"]))) < set(everything)


def test_every_task_has_an_id_of_its_own(folder: Path) -> None:
    source = Source(name="a", kind="distorted", files=("crystals.extxyz", "molecules.extxyz"))
    other = source.model_copy(update={"name": "b", "strain": (0.9, 0.92)})
    tasks = list(work_list(Recipe(element="Fe", source=(source, other)), folder))
    assert len({t.id for t in tasks}) == len(tasks) == 14
    assert len({t.meta["parent"] for t in tasks}) == 2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"element": "Xx"}, "Xx"),
        ({"element": "fe"}, "written Fe"),
        ({"edge": "L3"}, "edge"),
        ({"source": [{"name": "a", "strain": [1.1, 0.9]}]}, "strain"),
        ({"source": [{"name": "a", "displacement": [-1.0, 0.1]}]}, "displacement"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        parse_recipe({"element": "Fe", "source": []} | change)


@pytest.mark.parametrize("text", ["not a crystal\n", "", "3\nx\nFe 0 0 0\n"])
@pytest.mark.parametrize("name", ["bad.cif", "bad.xyz", "POSCAR"])
def test_a_file_that_is_no_structure_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    plan = Recipe(element="Fe", source=(Source(name="x", files=(name,)),))
    with pytest.raises(ConfigurationError, match=name):
        list(work_list(plan, tmp_path))


def test_sources_are_chosen_by_name() -> None:
    assert [s.name for s in recipe().only(["shaken"]).source] == ["shaken"]
    with pytest.raises(ConfigurationError, match="minerals; there are mineral, shaken, metal"):
        recipe().only(["shaken", "minerals"])


def test_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('element = "Fe"\n[[source]]\nname = "a"\nkind = "guess"\n')
    with pytest.raises(ConfigurationError, match="kind"):
        load_recipe(tmp_path / "r.toml")
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        load_recipe(tmp_path / "none.toml")
    plan = Recipe(element="Fe", source=(Source(name="x", files=("absent.cif",)),))
    with pytest.raises(ConfigurationError, match=r"absent\.cif"):
        list(work_list(plan, tmp_path))


def test_shipped_recipe_is_mostly_minerals() -> None:
    plan = load_recipe(SHIPPED)
    share = {s.name: s.share for s in plan.source}
    solid = sum(v for name, v in share.items() if name.startswith(("mineral", "made", "alloy")))
    assert solid / sum(share.values()) > 0.5


@pytest.mark.parametrize("kind", ["distorted", "made"])
def test_a_structure_that_cannot_be_is_a_task_that_fails(tmp_path: Path, kind: str) -> None:
    close = Atoms("FeO2", [[0, 0, 0], [0, 0, 2], [0, 0, 2.1]], cell=[6, 6, 6], pbc=True)
    ase.io.write(tmp_path / "c.extxyz", [close, bulk("FeO", "rocksalt", a=4.3)])
    plan = Recipe(element="Fe", source=(Source(name="x", kind=kind, files=("c.extxyz",)),))
    tasks = {t.id.partition(":")[2][0]: t for t in work_list(plan, tmp_path)}
    assert "two sites 0.10" in run_task(tasks["0"], Settings())["error"]
    assert kind != "distorted" or "1" in tasks


def test_disorder_is_not_computed_as_order() -> None:
    atoms = bulk("FeO", "rocksalt", a=4.3)
    atoms.info["occupancy"] = {"0": {"Fe": 0.5, "Mg": 0.5}, "1": {"O": 1.0}}
    assert "Fe 0.5, Mg 0.5" in run_task(Task("x", atoms, 0, None), Settings())["error"]


def parents_of(tmp_path: Path, *found: Atoms) -> list[str]:
    ase.io.write(tmp_path / "all.extxyz", list(found))
    plan = Recipe(element="Fe", source=(Source(name="x", share=1.0, files=("all.extxyz",)),))
    return sorted(str(task.meta["parent"]) for task in work_list(plan, tmp_path))


def oxide(**info: object) -> Atoms:
    found = Atoms("FeO", [[0, 0, 0], [0, 0, 2.0]])
    found.info |= info
    return found


def test_common_words_of_a_file_do_not_make_twins_of_strangers(tmp_path: Path) -> None:
    said = {"ox": "II", "spinmult": 5}
    one, two, three = oxide(**said, name="complex1"), oxide(**said, name="fe_1"), oxide(**said)
    found = parents_of(tmp_path, one, two, three, oxide(spin="low"))
    assert len(set(found)) == 4


def test_a_parent_that_a_file_names_is_the_parent(tmp_path: Path) -> None:
    found = parents_of(tmp_path, oxide(parent="a"), oxide(parent="a"), oxide(parent="b"))
    assert found == ["a", "a", "b"]
