// What an installation is told, from the environment: `azd env set NAME value`, or export it. docs/deploy.md lists them.
using 'main.bicep'

param environment = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param siteLocation = readEnvironmentVariable('TESSERA_SITE_LOCATION', 'westeurope')
param installation = readEnvironmentVariable('TESSERA_INSTALLATION', 'tessera')

param authorities = readEnvironmentVariable('AUTH_AUTHORITIES')
param audience = readEnvironmentVariable('AUTH_AUDIENCE')
param publicUrl = readEnvironmentVariable('TESSERA_PUBLIC_URL', '')
param siteOrigin = readEnvironmentVariable('TESSERA_SITE_ORIGIN', '')
param anonymousBrowsing = bool(readEnvironmentVariable('TESSERA_ANONYMOUS_BROWSING', 'false'))

param smtp = {
  host: readEnvironmentVariable('SMTP_HOST')
  port: int(readEnvironmentVariable('SMTP_PORT', '587'))
  username: readEnvironmentVariable('SMTP_USERNAME', '')
  starttls: bool(readEnvironmentVariable('SMTP_STARTTLS', 'true'))
}
param mailFrom = readEnvironmentVariable('MAIL_FROM')

// Without the directory's authority, people's accounts are not administered from here.
param directory = readEnvironmentVariable('DIRECTORY_AUTHORITY', '') == ''
  ? null
  : {
      authority: readEnvironmentVariable('DIRECTORY_AUTHORITY', '')
      clientId: readEnvironmentVariable('DIRECTORY_CLIENT_ID', '')
      issuer: readEnvironmentVariable('DIRECTORY_ISSUER', '')
    }

param alertMail = readEnvironmentVariable('TESSERA_ALERT_MAIL')
param budgetMonthly = int(readEnvironmentVariable('TESSERA_BUDGET_MONTHLY', '150'))
param budgetFrom = readEnvironmentVariable('TESSERA_BUDGET_FROM')

param privateNetworking = bool(readEnvironmentVariable('TESSERA_PRIVATE_NETWORKING', 'false'))
param privateFrom = readEnvironmentVariable('TESSERA_PRIVATE_FROM', '127.0.0.0')
param privateTo = readEnvironmentVariable('TESSERA_PRIVATE_TO', '127.255.255.255')

// A JSON object, e.g. {"person-calls": "1200"}.
param gatewayLimits = json(readEnvironmentVariable('TESSERA_GATEWAY_LIMITS', '{}'))
