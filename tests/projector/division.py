"""Which worker folds which read model."""

from runfold.projections.projection import AnyProjection
from runfold.projector import checkpoints
from runfold.projector.folding import team
from tests.projector.soundness import Books
from tests.projector.toys import Tally

MANY: dict[str, AnyProjection] = {
    f"tally_{number}": type("Numbered", (Tally,), {"name": f"tally_{number}", "__doc__": "The same."})() for number in range(8)
}


def holders(books: Books) -> dict[str, str | None]:
    return {model.name: model.worker for model in books.models()}


def is_divided(books: Books, projections: dict[str, AnyProjection] = MANY) -> bool:
    """Whether everybody has what falls to them, and has come to the end of the log."""
    workers = checkpoints.peers(books.connection)
    due = {name: checkpoints.assigned(team._folding(projection), workers) for name, projection in projections.items()}
    return bool(workers) and holders(books) == due and {model.position for model in books.models()} == {books.head()}
