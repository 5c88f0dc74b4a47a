"""What is taken for a credential and what is not: one table of each."""

import argparse
import collections
import functools
import time
import types
from pathlib import Path

import numpy as np
import pytest

from accel_track.credentials.recognition import REDACTED, is_secret, scrubbed
from accel_track.redaction import redacted, redacted_command
from accel_track.values.plain import check_config

# Put together here, since tools that look for leaked keys would take the whole for one.
RANDOM = "0aZ9bY8cX7dW6eV5fU4gT3hS2iR1jQ0kP9lO8mN7nM6oL5pK4qJ3rI2sH1tG0uF9vE8wD7xC6yB5zA4"
HEX = "0123456789abcdef" * 4
UPPER = "A1B2C3D4E5F6G7H8J9K0L1M2"


def _words(text):
    return text.split()


NAMES = _words("""
api_key API_KEY apikey apiKey APIKey api-key api.key openai_api_key WANDB_API_KEY wandb.api_key api_keys apikeys
api_key_prod api_key_2 API_KEY_V2 apiKeyDev openai.apiKey xApiKey x-api-key X-API-Key wandb_key wandb-key hf_key
comet_key storage_key account_key AccountKey SharedAccessKey shared_key signing_key encryption_key encryptionKey
master_key license_key ssh_key private_key privateKey ssh_private_key rsa_private_key private_keys secret_key
SECRET_KEY SECRET_KEY_BASE secretKey aws_secret_access_key AWS_ACCESS_KEY_ID access_key access_keys accessKeyId
s3_access_key minio_secret_key app_key client_key deploy_key service_key session_key consumer_key webhook_key
token TOKEN tokenValue hf_token HF_TOKEN HUGGING_FACE_HUB_TOKEN huggingface_token access_token accessToken
access_tokens accesstoken ACCESSTOKEN auth_token authtoken refresh_token id_token bearer_token bot_token
github_token GITHUB_TOKEN gh_token gitlab_token slack_token SLACK_BOT_TOKEN slack_user_token session_token
AWS_SESSION_TOKEN aws_security_token write_token read_token api_token api_tokens csrf_token xsrf_token device_token
personal_access_token deploy_token upload_token npm_token pypi_token sas_token private_token security_token
service_token HFToken hfToken mytoken my_token token1 token_new vault_token
password PASSWORD passwords password1 password_2 passwordNew dbPassword db_password db-password db.password
PGPASSWORD REDIS_PASSWORD MYSQL_ROOT_PASSWORD password_for_db password_hash user_password userpassword passwd
db_passwd passphrase ssh_passphrase pwd db_pwd MYSQL_PWD dbpwd mysqlpwd db_pass dbpass smtp_pass SMTP_PASS
user_pass redis_pass db_pw passcode
secret secrets SECRET client_secret clientSecret CLIENT_SECRET app_secret shared_secret mysecret webhook_secret
consumer_secret jwt_secret secret_id django_secret oauth_client_secret
auth basic_auth http_auth registry_auth proxy_auth basicauth _auth auth_key auth_code authorization Authorization
proxy_authorization Proxy-Authorization credentials credential aws_credentials creds db_creds gcp_credentials
connection_string connectionString CONNECTION_STRING AzureWebJobsConnectionString conn_str conn_string connstr dsn
SENTRY_DSN database_dsn jwt JWT jwt_token cookie cookies Cookie Set-Cookie session_cookie bearer otp totp
GITHUB_PAT github_pat gitlab_pat azure_pat personal_pat slack_webhook webhook_url slack_webhook_url
""")

HARMLESS_NAMES = _words("""
use_cls_token cls_token pad_token eos_token bos_token unk_token mask_token sep_token image_token video_token
audio_token decoder_start_token stop_token special_token additional_special_tokens prompt_token think_token tool_token
user_token system_token class_token register_token eot_token sot_token eom_token bos_eos_token start_token end_token
end_of_text_token assistant_token role_token query_token latent_token memory_token task_token language_token lang_token
blank_token newline_token placeholder_token separator_token delimiter_token fim_prefix_token fim_middle_token
prefix_token suffix_token sentinel_token distillation_token dist_token patch_token object_token boxToken clsToken
padToken clstoken padtoken extra_token dummy_token timestamp_token reasoning_token thinking_token vision_start_token
max_tokens max_new_tokens min_tokens num_tokens n_tokens tokens stop_tokens token_ids token_type_ids token_type
tokens_per_second token_embedding token_dropout token_level tokenizer tokenizer_name tokenization tokenized subtoken
key keys key_padding_mask attention_key primary_key foreign_key sort_key label_key image_key input_keys output_key
monitor_key metric_key cache_key state_key rng_key random_key jax_key group_key keyboard keyframe keypoints monkey
turkey hotkey public_key ssh_public_key key_dim author authors author_email authority passes passed passing bypass
compass pass_rate forward_pass backward_pass single_pass n_pass encompass passenger passthrough pathway pat patch
pattern path patience secretary secretion secretariat password_file password_length password_policy password_field
password_min_length passwords_file token_file key_file secret_name cookiecutter cookie_policy cookie_domain
jwt_algorithm auth_type auth_url auth_method use_auth oauth pin_memory dataset dsname credits accredited
accreditation webhook_events lr batch_size model_name optimizer hash seed license encryption signature
api_version api_url api_base access_mode accessor private_dataset session_name client_id service_name bearing width
powder apikeyboard description connection_timeout authorize author_token_count
""")

SHAPES = {
    "GitHub": "gh" + "p_" + RANDOM[:36],
    "GitHub app": "gh" + "s_" + RANDOM[:36],
    "GitHub fine-grained": "github" + "_pat_" + RANDOM[:22] + "_" + RANDOM[:59],
    "GitLab": "gl" + "pat-" + RANDOM[:20],
    "GitLab deploy": "gl" + "dt-" + RANDOM[:20],
    "Hugging Face": "h" + "f_" + "AbcdefGhijklMnopqrStuvwxYzabcdEfghij",
    "OpenAI": "s" + "k-" + RANDOM[:48],
    "OpenAI project": "s" + "k-proj-" + RANDOM[:20] + "-" + RANDOM[20:60] + "_" + RANDOM[60:],
    "Anthropic": "s" + "k-ant-api03-" + RANDOM[:40] + "-" + RANDOM[40:],
    "OpenRouter": "s" + "k-or-v1-" + HEX,
    "Slack bot": "xo" + "xb-123456789012-123456789012-" + RANDOM[:24],
    "Slack user": "xo" + "xp-123456789012-123456789012-" + RANDOM[:24],
    "AWS key": "AK" + "IA" + UPPER[:16],
    "AWS session": "AS" + "IA" + UPPER[:16],
    "Google": "AI" + "za" + RANDOM[:35],
    "Google OAuth": "ya" + "29." + RANDOM[:40],
    "npm": "np" + "m_" + RANDOM[:36],
    "PyPI": "pypi" + "-AgEIcHlwaS5vcmc" + RANDOM[:70],
    "JWT": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0." + RANDOM[:43],
    "Stripe": "s" + "k_live_" + RANDOM[:24],
    "SendGrid": "S" + "G." + RANDOM[:22] + "." + RANDOM[:43],
    "Databricks": "da" + "pi" + HEX[:32],
    "Vault": "hv" + "s." + RANDOM[:24],
    "NVIDIA": "nv" + "api-" + RANDOM[:40],
    "Groq": "gs" + "k_" + RANDOM[:40],
    "Replicate": "r" + "8_" + RANDOM[:37],
    "Docker": "dck" + "r_pat_" + RANDOM[:27],
    "Telegram": "123456789:A" + "AH" + RANDOM[:33],
    "Grafana": "gls" + "a_" + RANDOM[:32],
    "Mailgun": "ke" + "y-" + HEX[:32],
    "Shopify": "shp" + "at_" + HEX[:32],
    "Discord": "M" + RANDOM[:23] + "." + RANDOM[:6] + "." + RANDOM[:27],
    "private key": "-----BEGIN RSA PRIV" + f"ATE KEY-----\n{RANDOM}\n{RANDOM}\n-----END RSA PRIVATE KEY-----",
    "OpenSSH key": "-----BEGIN OPENSSH PRIV" + f"ATE KEY-----\\n{RANDOM}\\n-----END OPENSSH PRIVATE KEY-----",
    "unfinished key": "-----BEGIN PRIV" + f"ATE KEY-----\n{RANDOM}\n",
}
AROUND = ["{}", "invalid key {} given", "['{}']", "x={},y", "(see {}).", "/path/{}/x", '{{"a": "{}"}}', "é{}é", "a_{}"]

S = "S3cr3t"  # in texts: what must not be left of it
TEXTS = """
http://user:{}@host/path
https://{}@host
http://user:{}@127.0.0.1:5000/api
postgresql+psycopg2://u:{}@db:5432/runs
mongodb+srv://u:{}@cluster.example.net/db?retryWrites=true
redis://:{}@host:6379/0
amqp://u:a@b{}@host
postgres://u:a/{}@db.example.org/x
postgres://u:a?{}@db.example.org/x
postgres://u:a#{}@db.example.org/x
postgres://u:p@ss/{}@db.example.org/x
postgres://u:a {} b@db.example.org/x
postgres://u:{} b@db.example.org/x
see http://u:{}@a and ftp://v:{}@b.
API request to http://user:{}@127.0.0.1:1/api/2.0 failed with exception HTTPConnectionPool(host='127.0.0.1', port=1)
git+https://user:{}@example.org/repo.git@v1
http://host:7955?write_token={}
http://host:7955/?a=1&write_token={}&b=2
https://host/path?api_key={}
https://host/path?password={}#top
https://host/path?access_token={}&x=1
https://host/x?sig={}AbCdEfGhIjKl0123%3D&se=2030
https://host/x?X-Amz-Signature={}0123456789abcdef&x=1
https://maps.example.org/api?key={}0123456789abcdef
wss://host/socket?token={}
https://hooks.slack.com/services/T000/B000/{}
https://discord.com/api/webhooks/123/{}
Server=db;Database=x;User Id=u;Password={};Encrypt=yes
Server=db;UID=u;PWD={}
Driver={{ODBC Driver 17}};Server=db;UID=u;PWD={{{}}};
Server=db;Password=my {} word;Database=x
Server=db;Password=a b {}
jdbc:sqlserver://host:1433;user=u;password={};encrypt=true
jdbc:mysql://host/db?user=u&password={}
jdbc:postgresql://host/db?password={}&ssl=true
jdbc:oracle:thin:scott/{}@//host:1521/x
DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net
Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey={}
host=localhost user=u password={} dbname=x
host=localhost user=u password='a {}' dbname=x
root:{}@tcp(127.0.0.1:3306)/db
api_key={}
api_key: {}
api_key = '{}'
api_key="{}"
API key: {}
Access Key = {}
Incorrect API key provided: {}
AuthenticationError(api_key='{}', status=401)
{{'password': '{}'}}
{{"password": "{}", "user": "x"}}
{{\\"password\\": \\"{}\\"}}
{{'a': {{'db_password': '{}'}}}}
{{'auth': ('user', '{}')}}
{{'api_keys': ['{}', 'b{}']}}
{{b'password': b'{}'}}
password={}
password={}, user=x
password=a,{}
password=a){}
password="a b {} c"
password='it\\'s {}'
password='{}
PASSWORD => {}
passwd:={}
HF_TOKEN={}
export HF_TOKEN={}
env: HF_TOKEN={} PATH=/bin
token={}
token: {}
Authorization: Bearer {}
Authorization: Basic dXNlcjp{}
authorization: Token {}
{{'Authorization': 'Bearer {}'}}
headers={{"authorization": "Basic {}"}}
Proxy-Authorization: Basic {}
Authorization: Digest username="u", realm="r", response="{}"
X-Api-Key: {}
Cookie: a=b; session={}
Set-Cookie: session={}; Path=/
sent Bearer {}0aBcDeFg
curl -H 'Authorization: Bearer {}' host
mysql --password {} failed
mysql --password={} failed
Command '['mysql', '--password', '{}']' returned non-zero exit status 1.
train.py --wandb-key {} --lr 1
<password>{}</password>
machine host login u password {}
secret_key_base: {}
connection_string=Server=x;Password={}
client_secret = {}
db.password={}
DB-PASSWORD={}
wandb: ERROR api_key {{'key': 1, 'api_key': '{}'}}
""".strip().splitlines()

HARMLESS_TEXTS = """
https://host/path?x=1#y
https://host/path@version
https://host:8080/path@version
https://host/?mail=me@example.org
http://[::1]:5000/a@b
see http://host:8080 and mail me@example.org
me@example.org
mailto:me@example.org
git@github.com:org/repo.git
s3://bucket/key/path
sqlite:///runs.db
file:///home/user/x
docker.io/org/image:tag@sha256:0123abcd
https://host/path?page=2&sort_key=name&key=5&code=404
Unexpected token: end of input
unexpected token < in JSON at position 0
invalid token: expected string
Token: found
KeyError: 'token'
wrong password for user bob
the password is too short
missing api key
max_tokens=4096
pad_token=<pad>
pad_token: '<pad>'
{'eos_token': '</s>', 'cls_token': '[CLS]'}
token='<|endoftext|>'
token=mean
tokens: 5
n_tokens=1000000
use_auth_token=True
password=None
password: ***
key=value
sort_key=name
primary_key: id
loss: 0.5
loss=0.5, step=3
attention_mask: [1, 1, 0]
Bearer token
Bearer authentication
Basic authentication failed
basic training
sk-learn-pipelines-and-more
sk-learn
disk-usage-of-the-machine-2024
task-0123456789abcdef-x
eyJ
eyJhbGciOiJIUzI1NiJ9
hf_hub_download
hf-internal-testing/tiny-random-bert
npm_config_registry
ghp_short
AKIA
0123456789abcdef0123456789abcdef01234567
3f1a2b4c-0000-4000-8000-123456789abc
google/gemma-2b
accelerate launch --num_processes 2 train.py --lr 0.1
--pad-token <pad> --max-tokens 5
python train.py --tokenizer bpe --key value
-----BEGIN CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
C:\\Users\\x\\file
a=b
a: b
x > y
[31m
{"a": {"b": [1, 2, {"c": null}]}}
2026-01-01T00:00:00+00:00
conda install -c conda-forge python=3.11
torch==2.5.1+cu121
Linear(in_features=10, out_features=2, bias=True)
AdamW (lr: 0.001, betas: (0.9, 0.999), eps: 1e-08)
author: Jane Doe
secretary: Joe
PWD=/home/user
passes=3
""".strip().splitlines()


def test_the_table_is_long_enough():
    assert len(NAMES) + len(SHAPES) * len(AROUND) + len(TEXTS) >= 150
    assert len(HARMLESS_NAMES) + len(HARMLESS_TEXTS) >= 100


@pytest.mark.parametrize("name", NAMES)
def test_texts_under_these_names_are_credentials(name):
    assert is_secret(name, "abc")
    assert is_secret(name, b"abc")
    assert "abc12" not in scrubbed(f"a {name}=abc12, b")
    assert redacted({name: "abc", "deep": [{name: ("abc", 1)}]}) == {name: REDACTED, "deep": [{name: REDACTED}]}
    assert redacted_command([f"--{name}=abc", f"--{name}", "a b", f"{name}=a b"])[2:3] == [REDACTED]
    assert "abc" not in str(redacted_command([f"--{name}=abc", f"x.{name}=abc", f"--env={name}=abc", f"-e{name}=abc"]))


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_texts_under_these_names_are_none(name):
    assert not is_secret(name, "abc")
    assert redacted({name: "abc"}) == {name: "abc"}
    assert scrubbed(f"{name}=abc") == f"{name}=abc"
    assert redacted_command([f"--{name}", "abc", f"--{name}=abc"]) == [f"--{name}", "abc", f"--{name}=abc"]


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("around", AROUND)
def test_these_are_credentials_wherever_they_are(secret, around):
    if around == "a_{}" and "." in secret[2:]:
        return
    left = scrubbed(around.format(secret))
    assert REDACTED in left
    assert all(secret[at : at + 8] not in left for at in range(6, len(secret) - 7))
    if secret[-1] != "\n":
        assert left == around.format(REDACTED)


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_left_of_credentials_in_texts(text):
    left = scrubbed(text.format(S, S))
    assert S not in left
    assert REDACTED in left
    assert scrubbed(left) == left


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_other_texts_stay_as_they_are(text):
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://u:abc@host:1/p?x=1&token=abc#y", "http://***@host:1/p?x=1&token=***"),
        ("{'password': 'abc', 'user': 'x'}", "{'password': '***', 'user': 'x'}"),
        ("api_key=abc, lr=1", "api_key=***, lr=1"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("Server=db;Password=a b;Database=x", "Server=db;Password=***;Database=x"),
        ("password=abc token=def lr=1", "password=*** token=*** lr=1"),
        ("--token abc --lr 1", "--token *** --lr 1"),
        ("a HF_TOKEN=abc b", "a HF_TOKEN=*** b"),
    ],
)
def test_what_is_around_a_credential_stays(text, clean):
    assert scrubbed(text) == clean


@pytest.mark.parametrize(
    "unit",
    [
        "token",
        "token=",
        "password: ",
        "password='",
        "a",
        "a b ",
        "a.b-",
        "://",
        "a://b:",
        "a://b:c@",
        "eyJ",
        "eyJ-",
        "eyJaaaaaaa.",
        "-----BEGIN ",
        "@",
        "=",
        "<token>",
        "--token ",
        "sk-",
        "Bearer ",
        "key-0a",
        "password=a;",
        "login a password ",
        "SG.",
        "?key=",
        "jdbc:oracle:a:",
        "a:b@",
    ],
)
def test_time_grows_with_the_text_only(unit):
    def seconds(size: int) -> float:
        text = unit * (size // len(unit)) + "@ . key: secret"
        begun = time.process_time()
        scrubbed(text)
        return time.process_time() - begun

    short, long = (min(seconds(size) for _ in range(2)) for size in (10_000, 80_000))
    assert long < 24 * short + 0.05  # 64 times, if each place were looked at from each


@pytest.mark.parametrize(
    ("arguments", "clean"),
    [
        (["--password", "-x"], ["--password", REDACTED]),
        (["--password", "--lr", "1"], ["--password", "--lr", "1"]),
        (["--token", "-v", "x"], ["--token", "-v", "x"]),
        (["--env=HF_TOKEN=abc def"], [f"--env=HF_TOKEN={REDACTED}"]),
        (["--env", "HF_TOKEN=abc"], ["--env", f"HF_TOKEN={REDACTED}"]),
        (["-e", "HF_TOKEN=abc", "-e", "A=b"], ["-e", f"HF_TOKEN={REDACTED}", "-e", "A=b"]),
        (["-eHF_TOKEN=abc"], [f"-eHF_TOKEN={REDACTED}"]),
        (["--header", "Authorization: Bearer abc"], ["--header", f"Authorization: {REDACTED}"]),
        (["-H", "X-Api-Key: abc def"], ["-H", f"X-Api-Key: {REDACTED}"]),
        (["--header=Authorization: Bearer abc"], [f"--header=Authorization: {REDACTED}"]),
        (["--wandb-key", "abc"], ["--wandb-key", REDACTED]),
        (["--wandb_key=abc"], [f"--wandb_key={REDACTED}"]),
        (["--api-keys", "abc", "abd", "--lr", "1"], ["--api-keys", REDACTED, REDACTED, "--lr", "1"]),
        (["--pass", "abc"], ["--pass", REDACTED]),
        (["-u", "me:abc"], ["-u", f"me:{REDACTED}"]),
        (["-u", "1000:1000", "-u", "train.py"], ["-u", "1000:1000", "-u", "train.py"]),
        (["--url", "http://u:abc@host?token=abc"], ["--url", f"http://{REDACTED}@host?token={REDACTED}"]),
        (["logger={api_key: abc, lr: 1}"], [f"logger={{api_key: {REDACTED}"]),
        (["-Dpassword=abc"], [f"-Dpassword={REDACTED}"]),
        (["--key", "h" + "f_" + RANDOM[:34]], ["--key", REDACTED]),
        (["--use-auth-token", "True", "x"], ["--use-auth-token", REDACTED, "x"]),
        (["--pad-token", "[PAD]", "--prompt_token", "abc"], ["--pad-token", "[PAD]", "--prompt_token", "abc"]),
    ],
)
def test_command_lines(arguments, clean):
    assert redacted_command(arguments) == clean


Login = collections.namedtuple("Login", ["user", "password"])
GITHUB = SHAPES["GitHub"]


class Client:
    def __repr__(self):
        return "Client(api_key='abc', retries=3)"


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({GITHUB, "a"}, [REDACTED, "a"]),
        (frozenset({GITHUB}), [REDACTED]),
        (collections.deque([GITHUB, 1]), [REDACTED, 1]),
        (Login("a", "abc"), {"user": "a", "password": REDACTED}),
        ([[({"x": GITHUB},)]], [[[{"x": REDACTED}]]]),
        (GITHUB.encode(), f"b'{REDACTED}'"),
        ({"api_key": {"abc", "def"}}, {"api_key": REDACTED}),
        ({"api_key": collections.deque(["abc"])}, {"api_key": REDACTED}),
        ({"api_key": b"abc"}, {"api_key": REDACTED}),
        ({"api_keys": {"a": "abc", "b": ["abd", 1]}}, {"api_keys": {"a": REDACTED, "b": [REDACTED, 1]}}),
        ({"passwords": [{"a": b"abc"}]}, {"passwords": [{"a": REDACTED}]}),
        ({"auth": {"type": "basic", "pass": "abc"}}, {"auth": {"type": "basic", "pass": REDACTED}}),
        ({"token": {"type": "bpe"}}, {"token": {"type": "bpe"}}),
        (
            {"password": 1234, "secret": True, "token": 5, "n_passwords": None},
            {"password": REDACTED, "secret": True, "token": 5, "n_passwords": None},
        ),
        (collections.OrderedDict(password="abc"), {"password": REDACTED}),
        (types.MappingProxyType({"password": "abc"}), {"password": REDACTED}),
        (collections.UserDict(password="abc"), {"password": REDACTED}),
        (
            functools.partial(print, api_key="abc", sep=""),
            {"_target_": "builtins.print", "_partial_": True, "api_key": REDACTED, "sep": ""},
        ),
        (argparse.Namespace(token="abc", lr=0.1), {"token": REDACTED, "lr": 0.1}),
        (np.array([GITHUB, "a"]), [REDACTED, "a"]),
        (Path("a") / GITHUB, f"a/{REDACTED}"),
        ({GITHUB: 1}, {REDACTED: 1}),
        ({2: {"password": "abc"}}, {"2": {"password": REDACTED}}),
        (Client(), f"Client(api_key='{REDACTED}', retries=3)"),
    ],
)
def test_what_a_configuration_holds(value, clean):
    found = redacted(check_config({"x": value}))["x"]
    assert found == clean or sorted(found) == sorted(clean)


def test_a_working_directory_is_no_password():
    assert not is_secret("PWD", "/home/user")
    assert is_secret("PWD", "abc")


@pytest.mark.parametrize("value", [{"abc"}, frozenset({"abc"}), collections.deque(["abc"]), ("abc",), [["abc"]]])
def test_containers_of_texts_are_credentials(value):
    assert is_secret("api_key", value)
    assert redacted({"api_key": value, "x": ({"api_key": value},)}) == {
        "api_key": REDACTED,
        "x": ({"api_key": REDACTED},),
    }
