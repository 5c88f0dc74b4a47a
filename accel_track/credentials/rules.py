"""The table of credentials' names and shapes, which `recognition` applies."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- names: split into lower-case words, "dbPassword2" is ("db", "password") ------------------------------------------

SECRET_WORDS = _words(
    "password passwd passphrase passcode passkey pwd secret apikey credential cred authorization jwt bearer dsn cookie "
    "auth token totp otp webhook"
)
"""A name is a credential's if its last word is one of these, also in the plural. For "auth" and "token" see below."""

SECRET_ENDINGS = (
    *("password", "passwd", "passphrase", "passcode", "pwd", "secret", "credential", "authorization"),
    *("apikey", "accesskey", "secretkey", "privatekey", "authkey", "sessionkey", "signingkey", "encryptionkey"),
    *("connectionstring", "connstring", "connstr", "webhook"),
)
"""The last word may also end with one of these: "pgpassword"."""

SECRET_PHRASES = frozenset(
    {
        *("access key id", "secret id", "webhook url", "auth code", "authorization code", "connection string"),
        *("conn string", "conn str", "sas url", "signed url", "recovery code", "backup code", "seed phrase"),
    }
)
"""Last words that make a credential of a name only together."""

PASSWORDS = frozenset({"password", "passwd", "passphrase", "pwd"})
"""Under a name that holds one of these anywhere, as "password_for_db" does, a whole number is a credential, too."""

ABOUT = _words(
    "file path dir directory folder length len min max policy field name type hint url uri count required strength age "
    "expiry ttl prompt regex pattern column algorithm alg model dim size rate set enabled disabled manager store "
    "provider protected reset change changed check checker label prefix suffix"
)
"""... unless the name's last word is one of these: "password_file"."""

ADDED_WORDS = _words(
    "base value val plain plaintext raw encoded encrypted hash hashed hex new old current prod production dev test "
    "testing staging live primary secondary default v"
)
"""Words at the end of a name that change nothing: "api_key_prod"."""

VENDORS = _words(
    "wandb comet neptune clearml swanlab mlflow trackio dvc aim hf huggingface openai anthropic claude cohere mistral "
    "gemini google gcp gcs azure aws s3 minio github gh gitlab bitbucket slack discord telegram twilio stripe sendgrid "
    "mailgun mailchimp datadog dd sentry grafana pinecone weaviate qdrant replicate groq xai nvidia ngc kaggle tavily "
    "serper serpapi langsmith langchain langfuse databricks snowflake redis mongo mongodb elastic postgres mysql npm "
    "pypi docker heroku cloudflare digitalocean linode modal runpod together fireworks openrouter deepseek voyage jina "
    "perplexity"
)
KEY_OF = VENDORS | _words(
    "api access secret private session signing sign encryption encrypt decryption master account storage ssh rsa ecdsa "
    "gpg pgp license licence service deploy auth authentication client consumer shared subscription admin root bot app "
    "application vault ssl tls jwt hmac webhook write read ingest personal refresh"
)
"""The words before a "key", a "pat", "keys" and "tokens" of credentials: most keys are those of a dictionary."""

PASS_OF = VENDORS | _words(
    "db database user username smtp imap mail email proxy ftp sftp ssh admin root login sudo pg http basic auth "
    "account my service ldap vpn wifi rabbitmq amqp es registry"
)
"""The words before a "pass" or "pw" of credentials: most passes go forward and backward."""

TOKENS_OF_A_VOCABULARY = _words(
    "cls class classification pad padding eos bos eot sot sos eom eop bop bod eod eob go unk unknown oov mask masked "
    "sep img image images audio video vision visual speech text special stop start end begin beginning prefix suffix "
    "middle fim separator use add num n max min per next prev previous first last current decoder encoder forced "
    "prompt think thinking thought reason reasoning tool tools function call user system assistant human ai model role "
    "register reg query latent memory context ctx time timestamp blank space newline nl tab dummy fake null none empty "
    "extra added new old trigger task lang language src source tgt target label response instruction input output "
    "summary sink attention patch object point box bbox ref quad word char character subword byte wordpiece bpe "
    "sentinel rank dist distill distillation placeholder turn header message chat channel document doc title answer "
    "question choice delimiter break final initial init learnable learned trainable soft virtual pause gist semantic "
    "acoustic coarse fine motion action reward goal global local default ignore ignored each every single one any this "
    "that total avg mean average loss sub non multi de un re speaker phoneme codec loc seg segment graph node edge "
    "frame view depth noise pre post modality media vocab control conditioning condition style pool pooling cross "
    "merged merge keep drop dropped random constant replacement whitespace punctuation number digit date entity aspect "
    "concept event layer head expert router state step additional"
)
"""The words before "token" in the names of tokenizers and models, and values of a bare `token`."""

SWITCHED = _words("use no enable enabled require requires has with without skip")
"""The words before "auth" and "secret" in the names of switches."""

NOTHING = frozenset(("true", "false", "none", "null", "yes", "no", "redacted"))
"""Values behind a credential's name that tell no credential."""

STEMS = (
    *("pass", "pw", "secret", "key", "cred", "auth", "jwt", "bearer", "dsn", "cookie", "token", "otp", "webhook"),
    *("conn", "code", "sas", "signed", "phrase", "pat", "sig"),
)
"""The name of every credential holds one of these."""

QUERY_NAMES = frozenset({"sig", "signature", "key", "code", "x-amz-signature", "x-amz-credential", "x-goog-signature"})
"""Further names in the query of a URL, for values of 16 characters or more."""

# -- shapes: each begins where no other word goes on, and each repetition ends at the end of a word, so all are linear -

_PLAIN_SHAPES = (
    r"gh[oprsu]_[A-Za-z0-9]{16,}",  # GitHub
    r"github_pat_\w{16,}",
    r"gl(?:pat|dt|ft|soat|rt|cbt|ptt|imt|agent|oas|ffct)-[\w\-]{16,}",  # GitLab
    r"(?:hf|api_org)_[A-Za-z0-9]{16,}",  # Hugging Face
    r"xox[a-z]-[\w\-]{10,}|xapp-\d-[\w\-]{10,}",  # Slack
    r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"AIza[\w\-]{30,}|ya29\.[\w\-]{16,}|GOCSPX-[\w\-]{16,}",  # Google
    r"npm_[A-Za-z0-9]{20,}|pypi-AgE[\w\-]{16,}|rubygems_[0-9a-f]{20,}",  # package registries
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[\w+/]{16,}",  # Stripe
    r"key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}",  # Mailgun, Mailchimp
    r"dapi[0-9a-f]{32}(?:-\d)?|do[oprs]_v1_[0-9a-f]{32,}",  # Databricks, DigitalOcean
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{16,}|sq0(?:csp|atp)-[\w\-]{16,}",  # Shopify, Square
    r"hv[sbr]\.[\w\-]{20,}",  # Vault
    r"nvapi-[\w\-]{20,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|(?:pplx|xai|tvly|fw|jina)[-_][A-Za-z0-9]{20,}",
    r"gl(?:c|sa)_\w{20,}={0,2}|sntry[su]_[\w=]{20,}|NRAK-[A-Z0-9]{20,}",  # Grafana, Sentry, New Relic
    r"dckr_pat_[\w\-]{16,}|lin_api_\w{20,}|ntn_\w{20,}|secret_[A-Za-z0-9]{40,}|figd_[\w\-]{20,}|PMAK-[0-9a-f\-]{20,}",
    r"ATATT3[\w\-=]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{20,}|tskey-[\w\-]{16,}|pul-[0-9a-f]{20,}|wandb_v1_\w{16,}",
    r"EAAA[\w\-]{50,}|lsv2_(?:pt|sk)_\w{20,}|pcsk_\w{20,}|ls__\w{20,}|phc_\w{20,}",
    r"\d{8,10}:AA[\w\-]{30,}",  # Telegram
    r"SK[0-9a-f]{32}(?![A-Za-z0-9])",  # Twilio
)
SHAPES = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_PLAIN_SHAPES)})", re.ASCII)
DOTTED_SHAPES = re.compile(
    # JSON web tokens; SendGrid; Doppler; Discord
    r"(?<![A-Za-z0-9_\-])(?:eyJ[\w\-]{6,}={0,2}\.[\w\-]{6,}={0,2}(?:\.[\w\-]*={0,2})?|SG\.[\w\-]{16,}\.[\w\-]{16,}|"
    r"dp\.(?:pt|st|ct)\.[\w\-.]{20,}|[MNO][\w\-]{23,25}\.[\w\-]{6}\.[\w\-]{27,40})",
    re.ASCII,
)
MIXED_SHAPES = re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|[ps]k-lf)-[\w\-]{16,}", re.ASCII)
"""OpenAI's, Anthropic's and others'; only where letters and digits are mixed: "sk-learn-pipelines" is no key."""

WEBHOOKS = re.compile(
    r"(?P<host>https?://(?:hooks\.slack\.com/(?:services|workflows)|(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks|"
    r"[\w.\-]{1,100}\.webhook\.office\.com)/)[^\s\"'<>]+"
)
