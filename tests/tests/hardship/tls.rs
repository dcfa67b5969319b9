//! A model's server behind TLS, with an authority of our own.

use governance_tests::certificates::Certificates;
use governance_tests::model_server::ModelServer;
use governance_tests::program::{Answer, Living, User};

use super::CACHE;

/// A run that thinks with the server, trusting this authority where one is named.
fn run(user: &User, server: &ModelServer, authority: Option<&std::path::Path>) -> Answer {
    let mut command = user.command(["run", CACHE, "--json", "--mode", "openrouter", "--base-url", &server.url, "--timeout", "20"]);
    command.env("OPENROUTER_API_KEY", "sk-canary");
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority);
    }
    Living::spawn(command).end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_authority_is_named_is_asked_and_one_that_is_not_trusted_is_told_without_ever_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let own = Certificates::of(&folder.path().join("own"), &["localhost"]);
    let other = Certificates::of(&folder.path().join("other"), &["elsewhere.example"]);
    let trusted = ModelServer::start([]).await.behind_tls(own.server()).await;
    let misnamed = ModelServer::start([]).await.behind_tls(other.server()).await;
    tokio::task::spawn_blocking(move || {
        let user = User::default();
        run(&user, &trusted, Some(&own.authority()));
        let asked = trusted.asked();
        assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization == "Bearer sk-canary"), "{asked:?}");

        // Another authority, and another name.
        for (server, authority) in [(&trusted, other.authority()), (&misnamed, other.authority())] {
            let before = server.asked().len();
            let answer = run(&user, server, Some(&authority));
            assert_ne!(answer.calm().code, Some(0), "{answer:?}");
            let told = format!("{}{}", answer.out, answer.err);
            assert!(told.contains("is not trusted") && told.contains("SSL_CERT_FILE"), "{answer:?}");
            assert!(!told.contains("sk-canary"));
            assert_eq!(server.asked().len(), before, "the key went out");
        }
        user.verified();
    })
    .await
    .unwrap();
}
