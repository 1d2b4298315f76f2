//! What MySQL 8.0.31 and MariaDB 10.11.19 said when the proxy logged in, and the log-in that hears it.

use dbproxy_engine::{
    BackendFailure, BackendLogin, BackendProgress, DerivedKeys, Identity, TlsFacts,
};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::greeting::Greeting;
use dbproxy_mysql::message::{error, status};
use dbproxy_mysql::{BackendAsk, Connecting, Manner, Ready, UserMethod};

use super::door::credential;
use super::{packet, sevens, written};

pub const MYSQL: &str =
    "4a0000000a382e302e333100850000007c766b7634105f2b00ffffff0200ffdf150000000000\
    0000000000434208143f4769661b0c14350063616368696e675f736861325f70617373776f726400";
pub const FULL_WANTED: &str = "020000020104";
pub const FAST_PASSED: &str = "020000020103";
pub const KEY: &str =
    "c4010004012d2d2d2d2d424547494e205055424c4943204b45592d2d2d2d2d0a4d494942496a41\
    4e42676b71686b6947397730424151454641414f43415138414d49494243674b43415145413065377255694f62\
    6369474e713669536f6263450a6341444b4f37414e4a7162666337625a764a6a313430664c4c6c4a6f5349516a\
    623553755367454e4d6946632f436f6a525562696979345a572b4631686230700a346b6c4c56564d646c302f56\
    3667617446317a2b4869636d55716c4a326a766b526c3762664f36504d2b4b37524971786f45707762584f4e31\
    31707030565a6a0a2f6f6436464e706d54464370497044495050336c463454792b5831522f4f725759434f412f\
    46384871356e3142484235397739354b714d57576575644f56484a0a6f65324a4d4f585866365665527a6d4a75\
    487a62736e6a6c6b644b4a5967726842616571384348684974784731485a747a6c3179364f6443476d754e7a33\
    36610a4448585741586b6f334a3564554c75595675306d4e632b4e59366858385449716241666a4e4158595268\
    74563349302f53716759714858457a436d345a624d770a69774944415141420a2d2d2d2d2d454e44205055424c\
    4943204b45592d2d2d2d2d0a";
pub const SWITCH_TO_NATIVE: &str =
    "2c000002fe6d7973716c5f6e61746976655f70617373776f726400595b20233b17\
    204c78787a7c374b68027a6d5f1d00";
pub const SET_ON_MYSQL: &str =
    "7600000100000002400000006d001e1a73657373696f6e5f747261636b5f7374617465\
    5f6368616e6765024f4e00211e73657373696f6e5f747261636b5f73797374656d5f7661726961626c6573012a\
    00251e73657373696f6e5f747261636b5f7472616e73616374696f6e5f696e666f055354415445020131";
/// To `SELECT 1; SET autocommit=1; USE app`.
pub const INIT: &str =
    "010000010117000002036465660000000131000c3f000200000008810000000002000003013107\
    000004fe00000a0000001c0000050000000a4000000013000e0a6175746f636f6d6d6974024f4e020131120000\
    06000000024000000009010403617070020131";
pub const OPTION_SET: &str = "07000001fe000002000000";
pub const MARIADB: &str =
    "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531\
    000e0000005e5f41665c7d212800feff080200ff81150000000000001d0000004666503c7a755c4c4966466b00\
    6d7973716c5f6e61746976655f70617373776f726400";
pub const SWITCH_TO_ED25519: &str =
    "30000002fe636c69656e745f656432353531390093a7d5dd6cdd407f761468ad9d\
    ff37eb8040752169ef7377f01db2a98c6ef74f";
pub const SIGNATURE: &str =
    "4000000385960b97db8dde037006421940e198811252fb1c4e879ec554525efc6a1b79a903\
    fab78b34a4500508fbaf5adadcd14a2c9f8ab65ca2eaa3d086e90038e9af0e";
pub const SET_ON_MARIADB: &str =
    "8100000100000002400000007800211e73657373696f6e5f747261636b5f73797374\
    656d5f7661726961626c6573012a00251e73657373696f6e5f747261636b5f7472616e73616374696f6e5f696e\
    666f055354415445001e1a73657373696f6e5f747261636b5f73746174655f6368616e6765024f4e0201310509\
    085f5f5f5f5f5f5f5f";
pub const DENIED: &str = "ff15042332383030304163636573732064656e69656420666f72207573657220276e\
    61742740273132372e302e302e312720287573696e672070617373776f72643a2059455329";
pub fn done(sequence: u8) -> Vec<u8> {
    packet(sequence, b"\0\0\0\x02\0\0\0")
}

pub fn ask(user: &str, method: UserMethod) -> BackendAsk {
    let password = format!("{user}-pw");
    BackendAsk {
        identity: Identity {
            user: user.into(),
            database: "".into(),
            settings: Manner::new(DEPRECATE_EOF, 45).settings(),
            traces: [].into(),
        },
        password: password.as_str().into(),
        credential: credential(method, &[&password]),
        keys: DerivedKeys::default(),
        tls_wanted: false,
        tls_required: false,
        init_query: None,
    }
}

pub fn connecting(ask: BackendAsk) -> Connecting<Ready> {
    let mut out = Vec::new();
    let login = Connecting::start(ask, &mut sevens, &mut out);
    assert!(out.is_empty(), "the server speaks first");
    login
}

pub fn verified(verified: bool) -> TlsFacts {
    TlsFacts {
        verified,
        ..TlsFacts::default()
    }
}

/// What comes of what the server says, and all that it is answered.
pub fn dialogue(
    ask: BackendAsk,
    tls: Option<&TlsFacts>,
    said: &[Vec<u8>],
) -> (BackendProgress<Ready>, Vec<Vec<u8>>) {
    let mut login = connecting(ask);
    let mut answers = Vec::new();
    let mut last = BackendProgress::NeedMore;
    for packets in said {
        let mut out = Vec::new();
        let facts = tls.filter(|_| !answers.is_empty());
        let (used, progress) = login.feed(packets, facts, &mut out);
        answers.push(out);
        match progress {
            BackendProgress::NeedMore => assert_eq!(used, packets.len()),
            BackendProgress::StartTls => {
                let mut out = Vec::new();
                let (_, progress) = login.feed(b"", None, &mut out);
                assert!(matches!(progress, BackendProgress::NeedMore) && out.is_empty());
                let (_, progress) = login.feed(b"", tls, &mut out);
                assert!(matches!(progress, BackendProgress::NeedMore));
                answers.push(out);
            }
            _ => {
                last = progress;
                break;
            }
        }
    }
    (last, answers)
}

pub fn ready(progress: BackendProgress<Ready>) -> Ready {
    match progress {
        BackendProgress::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}

pub fn failed(progress: BackendProgress<Ready>) -> BackendFailure {
    match progress {
        BackendProgress::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

pub fn error_of(code: u16, sequence: u8) -> Vec<u8> {
    let report = error::Report {
        code,
        state: Some(*b"HY000"),
        message: b"why",
    };
    packet(sequence, &written(|out| report.write(out)))
}

/// A greeting with other capabilities.
pub fn greeting(capabilities: Capabilities) -> Vec<u8> {
    greeting_of("5.6.24", capabilities)
}

/// The same of another version.
pub fn greeting_of(version: &str, capabilities: Capabilities) -> Vec<u8> {
    let greeting = Greeting {
        version: version.as_bytes(),
        thread_id: 1,
        scramble: [7; 20],
        capabilities,
        collation: 8,
        status: status::AUTOCOMMIT,
        plugin: b"mysql_native_password",
    };
    packet(0, &written(|out| greeting.write(out)))
}
