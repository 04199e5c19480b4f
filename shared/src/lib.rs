//! What `lamp` and `lampd` have to agree on: they never see each other, they meet here (types) and in
//! the Parameter Store (values).

pub mod agent;
pub mod params;
pub mod sample;
pub mod tags;
