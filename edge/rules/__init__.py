"""One file per rule. A rule only says "true now, with this evidence"; ``edge.incidents`` does the rest."""
