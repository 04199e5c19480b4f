//! Rounds of a group, as tables of what is seen and what follows.
