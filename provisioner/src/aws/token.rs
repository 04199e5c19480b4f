//! Client tokens: AWS answers a repeated creation with the first one's object, so that no second one is made.

use sha2::{Digest, Sha256};

use super::{Aws, Error, Result};

/// How many objects of one node AWS may remember that are gone by now. It forgets them within a day.
const REMEMBERED: usize = 50;

impl Aws {
    /// The token of what is made for a node. It is the same in every run: one that was killed before it heard of what it
    /// had made is answered with that in the next.
    pub fn token(&self, node: &str, salt: &str) -> String {
        let sum = Sha256::digest(format!("{} {} {node} {salt}", self.region, self.stack));
        sum.iter().take(16).map(|it| format!("{it:02x}")).collect()
    }

    /// Creates with the node's token; with the next one where that token's object is gone, and so on.
    ///
    /// # Errors
    /// The call's own.
    pub async fn with_token<F>(&self, node: &str, mut create: impl FnMut(String) -> F) -> Result<String>
    where
        F: Future<Output = Result<String>>,
    {
        for nth in 0..REMEMBERED {
            match create(self.token(node, &nth.to_string())).await {
                Err(err) if err.is_stale_token() => (),
                other => return other,
            }
        }
        Err(Error::refused(format!(
            "{node} was made and removed {REMEMBERED} times in a row: try again tomorrow"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_of_each_stack_has_its_own_token_in_every_run() {
        let (lab, other) = (Aws::unreachable("lab"), Aws::unreachable("other"));
        assert_eq!(lab.token("instance/a", ""), Aws::unreachable("lab").token("instance/a", ""));
        assert_ne!(lab.token("instance/a", ""), lab.token("instance/b", ""));
        assert_ne!(lab.token("instance/a", ""), other.token("instance/a", ""));
        assert!(lab.token("instance/a", "").len() <= 64, "AWS takes 64 signs at most");
    }

    #[tokio::test]
    async fn the_token_of_what_is_gone_is_followed_by_the_next_always_in_the_same_order() {
        let aws = Aws::unreachable("lab");
        let tried = std::cell::RefCell::new(Vec::new());
        for _ in 0..2 {
            let made = aws.with_token("nat-gateway/a", |token| {
                tried.borrow_mut().push(token);
                let is_stale = tried.borrow().len() % 3 != 0;
                async move { if is_stale { Err(Error::stale_token()) } else { Ok("nat-1".into()) } }
            });
            assert_eq!(made.await.unwrap(), "nat-1");
        }
        let tried = tried.into_inner();
        assert_eq!(tried[..3], tried[3..]);
    }
}
