<?php
// The lab's page, kept up to date by lampd: a change here is undone within a minute
// (index_php = false in /etc/lamp/agent.toml leaves the file to you).
//
// Connections are persistent ("p:"): with TLS, connecting anew for every request costs twenty times the query.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

function rows(): array
{
    if (!(@include 'dbinfo.inc')) {
        throw new RuntimeException('the database is not known yet');
    }
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 3);
    $flags = 0;
    if (DB_CA !== '') {
        $db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
        $db->ssl_set(null, null, DB_CA, null, null);
        $flags = MYSQLI_CLIENT_SSL;
    }
    // Its warning would come on top of the exception.
    @$db->real_connect('p:' . DB_SERVER, DB_USERNAME, DB_PASSWORD, DB_DATABASE, (int) DB_PORT, null, $flags);
    $db->set_charset('utf8mb4');
    return $db->query('SELECT ID, NAME, ADDRESS FROM SAMPLE ORDER BY ID LIMIT 1000')->fetch_all(MYSQLI_ASSOC);
}

function text(?string $it): string
{
    return $it === null ? '<i>NULL</i>' : htmlspecialchars($it, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$rows = [];
$trouble = null;
try {
    $rows = rows();
} catch (mysqli_sql_exception $it) {
    // 1146: no such table. Everything else is told without the server's own words, which may name accounts.
    $trouble = $it->getCode() === 1146
        ? 'The table is missing: CREATE TABLE SAMPLE (ID INT(11) UNSIGNED AUTO_INCREMENT PRIMARY KEY, NAME VARCHAR(45), ADDRESS VARCHAR(90))'
        : 'Failed to connect to MySQL (error ' . $it->getCode() . ')';
    error_log('index.php: ' . $it->getMessage());
} catch (RuntimeException $it) {
    $trouble = 'Failed to connect to MySQL: ' . $it->getMessage();
}
if ($trouble !== null) {
    http_response_code(503);
}
header('Cache-Control: no-store');
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SAMPLE</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .5rem .75rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere }
</style>
<h1>SAMPLE</h1>
<p>Private IP of this host: <b><?= text($_SERVER['SERVER_ADDR'] ?? '') ?></b></p>
<?php if ($trouble !== null): ?>
<p role="alert"><?= text($trouble) ?></p>
<?php else: ?>
<table>
<thead><tr><th>ID<th>NAME<th>ADDRESS</thead>
<?php foreach ($rows as $row): ?>
<tr><td><?= text((string) $row['ID']) ?><td><?= text($row['NAME']) ?><td><?= text($row['ADDRESS']) ?>

<?php endforeach ?>
</table>
<?php endif ?>
